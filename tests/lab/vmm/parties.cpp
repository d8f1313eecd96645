// SPDX-License-Identifier: Apache-2.0
#include "parties.hpp"

#include "stubs.hpp"

#include <cstring>
#include <stdexcept>

namespace vmm {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t huge = 2 << 20;

void good(std::int64_t result, const char *what)
{
    if (result != 0) {
        throw std::runtime_error{std::string{what} + ": error " + std::to_string(-result)};
    }
}

Call with_name(const char *name)
{
    std::uint64_t words[ELISA_NAME_MAX / 8] = {};
    std::memcpy(words, name, std::strlen(name));
    return {.rbx = words[0], .rsi = words[1], .rdi = words[2], .r8 = words[3]};
}

} // namespace

Manager::Manager(Host &host) : id{host.add(vm, ELISA_ROLE_MANAGER)} {}

std::int64_t Manager::create(const char *name, std::uint64_t pages)
{
    Call c = with_name(name);
    c.r9 = pages * page;
    const std::int64_t result = vm.call(ELISA_CALL_EXPORT_CREATE, c);
    if (result == 0) {
        handle = c.rbx;
        export_id = c.rsi;
    }
    return result;
}

std::int64_t Manager::add(std::uint64_t offset, std::uint64_t gpa, std::uint64_t length,
                          elisa_map kind)
{
    Call c{.rbx = handle,
           .rsi = offset,
           .rdi = gpa,
           .r8 = length,
           .r9 = static_cast<std::uint64_t>(kind)};
    return vm.call(ELISA_CALL_EXPORT_ADD, c);
}

void Manager::publish(const char *name)
{
    good(create(name, 1), "creating an export");
    good(add(0, at::image, page, ELISA_MAP_TEXT), "the image");
    Call c{.rbx = handle};
    good(vm.call(ELISA_CALL_EXPORT_PUBLISH, c), "publishing");
}

void Manager::serve()
{
    for (;;) {
        Call event{.rbx = handle};
        good(vm.call(ELISA_CALL_EVENT_POLL, event), "polling events");
        if (event.rbx == ELISA_EVENT_NONE) {
            return;
        }
        Call answer{.rbx = handle, .rsi = event.rsi};
        good(vm.call(ELISA_CALL_EVENT_REPLY, answer), "answering an event");
    }
}

Guest::Guest(Host &host) : id{host.add(vm, ELISA_ROLE_GUEST)} {}

std::int64_t Guest::try_attach(const char *name, std::uint64_t instance)
{
    Call c = with_name(name);
    c.r9 = instance;
    const std::int64_t result = vm.call(ELISA_CALL_ATTACH, c);
    if (result == 0) {
        handle = c.rbx;
    }
    return result;
}

void Guest::attach(Manager &manager, const char *name, std::uint64_t instance)
{
    good(try_attach(name, instance), "attaching");
    manager.serve();
}

std::int64_t Guest::arm()
{
    Call c{.rbx = handle, .rsi = at::stack};
    const std::int64_t result = vm.call(ELISA_CALL_ARM, c);
    if (result == 0) {
        gate = c.rbx;
        token = c.rsi;
        vm.poke(at::gate, &gate, 4);
    }
    return result;
}

Crossing Guest::cross(std::uint64_t value, std::uint64_t rounds)
{
    return vm.cross(gate, token, rounds, value);
}

bool Guest::attached()
{
    Call c{.rbx = handle};
    return vm.call(ELISA_CALL_ATTACH_STATUS, c) == 0;
}

std::int64_t Guest::commit_region()
{
    Call c{.rbx = handle, .rsi = huge};
    std::int64_t result = vm.call(ELISA_CALL_REGION_CREATE, c);
    const std::uint64_t number = c.rbx;
    if (result == 0) {
        Call add{.rbx = handle, .rsi = number, .rdi = 0, .r8 = at::data, .r9 = huge};
        result = vm.call(ELISA_CALL_REGION_ADD, add);
    }
    if (result == 0) {
        Call commit{.rbx = handle, .rsi = number};
        result = vm.call(ELISA_CALL_REGION_COMMIT, commit);
    }
    return result == 0 ? static_cast<std::int64_t>(number) : result;
}

std::int64_t Guest::remove_region(std::uint64_t number)
{
    Call c{.rbx = handle, .rsi = number};
    return vm.call(ELISA_CALL_REGION_REMOVE, c);
}

} // namespace vmm
