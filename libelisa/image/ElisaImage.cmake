# elisa_add_image(NAME SOURCES file... [LINK library...] [INCLUDE dir...] [ALLOW what...])
#
# Builds NAME.elf, a program for the sub context, into ${ELISA_GUEST_DIR}/share/elisa and checks it:
# nothing undefined, no relocations, no indirect branches, no instruction that is forbidden there. ALLOW
# names what check-image.sh shall let pass (indirect, forbidden): for tests that misbehave.
# Cached: the function is called from other folders, where a plain variable of this one is unknown.
set(ELISA_IMAGE_ROOM ${CMAKE_CURRENT_LIST_DIR} CACHE INTERNAL "")

set(ELISA_IMAGE_FLAGS
  -ffreestanding -fno-jump-tables -fcf-protection=none -fno-stack-protector
  -fno-asynchronous-unwind-tables -fno-unwind-tables -fvisibility=hidden -ffunction-sections
  -mno-avx -U_FORTIFY_SOURCE
  $<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>
  $<$<COMPILE_LANGUAGE:CXX>:-fno-threadsafe-statics> CACHE INTERNAL "")

add_library(elisa_image_runtime OBJECT ${ELISA_IMAGE_ROOM}/runtime.c)
target_include_directories(elisa_image_runtime PUBLIC
  ${ELISA_IMAGE_ROOM}/include ${ELISA_IMAGE_ROOM}/../include)
target_compile_options(elisa_image_runtime PRIVATE
  ${ELISA_IMAGE_FLAGS} -fno-tree-loop-distribute-patterns)
target_link_libraries(elisa_image_runtime PRIVATE elisa_warnings)

function(elisa_add_image name)
  cmake_parse_arguments(PARSE_ARGV 1 IMAGE "" "" "SOURCES;LINK;INCLUDE;ALLOW")
  add_executable(${name} ${IMAGE_SOURCES} $<TARGET_OBJECTS:elisa_image_runtime>)
  target_include_directories(${name} PRIVATE
    ${ELISA_IMAGE_ROOM}/include ${ELISA_IMAGE_ROOM}/../include ${IMAGE_INCLUDE})
  target_compile_options(${name} PRIVATE ${ELISA_IMAGE_FLAGS})
  target_link_libraries(${name} PRIVATE elisa_warnings elisa_abi ${IMAGE_LINK})
  target_link_options(${name} PRIVATE
    -nostdlib -static -no-pie -Wl,--build-id=none -Wl,--gc-sections -Wl,-z,max-page-size=4096
    -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,-T,${ELISA_IMAGE_ROOM}/image.ld)
  set_target_properties(${name} PROPERTIES
    SUFFIX .elf
    LINK_DEPENDS ${ELISA_IMAGE_ROOM}/image.ld
    RUNTIME_OUTPUT_DIRECTORY ${ELISA_GUEST_DIR}/share/elisa)
  add_custom_command(TARGET ${name} POST_BUILD
    COMMAND bash ${ELISA_IMAGE_ROOM}/check-image.sh $<TARGET_FILE:${name}> ${IMAGE_ALLOW}
    VERBATIM)
endfunction()
