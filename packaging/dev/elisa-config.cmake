# SPDX-License-Identifier: Apache-2.0
# find_package(elisa): the libraries elisa::guest, elisa::manager and elisa::kvs (its client), and elisa_add_image()
# for programs in sub contexts.
get_filename_component(_elisa_lib "${CMAKE_CURRENT_LIST_DIR}/../.." ABSOLUTE)
get_filename_component(_elisa_prefix "${_elisa_lib}/../.." ABSOLUTE)
function(_elisa_library name file)
  if(NOT TARGET elisa::${name})
    add_library(elisa::${name} STATIC IMPORTED GLOBAL)
    set_target_properties(elisa::${name} PROPERTIES
      IMPORTED_LOCATION ${_elisa_lib}/lib${file}.a
      INTERFACE_INCLUDE_DIRECTORIES ${_elisa_prefix}/include
      INTERFACE_LINK_LIBRARIES "${ARGN}")
  endif()
endfunction()
_elisa_library(common elisa_common)
_elisa_library(guest elisa_guest elisa::common)
_elisa_library(manager elisa_manager elisa::common)
_elisa_library(kvs_store kvs_store)
_elisa_library(kvs kvs_client elisa::guest elisa::kvs_store)

# As the image kit wants them.
if(NOT TARGET elisa_abi)
  add_library(elisa_warnings INTERFACE)
  add_library(elisa_abi INTERFACE)
  target_include_directories(elisa_abi INTERFACE ${_elisa_prefix}/include)
  if(NOT ELISA_GUEST_DIR)
    set(ELISA_GUEST_DIR ${CMAKE_BINARY_DIR})
  endif()
  include(${_elisa_prefix}/share/elisa/image/ElisaImage.cmake)
  target_link_libraries(elisa_image_runtime PRIVATE elisa_abi)
endif()
