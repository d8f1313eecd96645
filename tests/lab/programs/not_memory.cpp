// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "elisa/unique_fd.hpp"
#include "ivshmem.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <string>
#include <sys/mman.h>

namespace probes {
namespace {

// What the guest reads there: that something is, and that it is what the scenario put there.
std::string mark_at(std::uint64_t gpa)
{
    const elisa::UniqueFd fd{::open("/dev/mem", O_RDONLY | O_CLOEXEC)};
    void *const page =
        ::mmap(nullptr, elisa::page_size, PROT_READ, MAP_SHARED, fd.get(), static_cast<off_t>(gpa));
    if (page == MAP_FAILED) {
        return std::string{"/dev/mem: "} + std::strerror(errno);
    }
    char mark[8];
    std::memcpy(mark, page, sizeof(mark));
    ::munmap(page, elisa::page_size);
    return {mark, sizeof(mark)};
}

// Of 2 MB there, for a region of its own, which is removed again.
std::int64_t answer_to_add(const elisa::Attachment &attachment, std::uint64_t gpa)
{
    using namespace elisa::doorbell;
    Registers create{.rbx = attachment.handle(), .rsi = elisa::huge_page_size};
    if (const auto refused = ring(ELISA_CALL_REGION_CREATE, create); refused != 0) {
        return refused;
    }
    Registers add{.rbx = attachment.handle(),
                  .rsi = create.rbx,
                  .rdi = 0,
                  .r8 = gpa,
                  .r9 = elisa::huge_page_size};
    const auto answer = ring(ELISA_CALL_REGION_ADD, add);
    Registers remove{.rbx = attachment.handle(), .rsi = create.rbx};
    static_cast<void>(ring(ELISA_CALL_REGION_REMOVE, remove));
    return answer;
}

} // namespace

int not_memory(const std::string &export_name)
{
    const auto devices = Ivshmem::all();
    if (!devices) {
        return apps::fail("lab-probe", devices.error());
    }
    auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    if (const auto allowed = elisa::doorbell::enable(); !allowed) {
        return apps::fail("lab-probe", allowed.error());
    }
    // By what is in them: memory of QEMU's own (zeroes), a device's, ROM.
    apps::Json seen = apps::Json::array();
    unsigned ordinary = 0;
    unsigned device = 0;
    unsigned rom = 0;
    bool ok = true;
    const auto look = [&](std::uint64_t gpa) {
        const std::string mark = mark_at(gpa);
        const std::int64_t answer = answer_to_add(*attachment, gpa);
        if (mark == std::string(8, '\0')) {
            ++ordinary;
            ok &= answer == 0;
        } else {
            device += mark == "ELISADEV" ? 1 : 0;
            rom += mark == "ELISAROM" ? 1 : 0;
            ok &= answer == -ELISA_E_MEMORY;
        }
        seen.push_back({{"gpa", gpa}, {"mark", mark.c_str()}, {"answer", answer}});
    };
    for (const Ivshmem &each : *devices) {
        ok &= each.set_memory_space(true) && each.memory() % elisa::huge_page_size == 0;
        look(each.memory());
        if (each.rom() != 0) {
            ok &= each.enable_rom() && each.rom() % elisa::huge_page_size == 0;
            look(each.rom());
        }
    }
    ok &= ordinary == 1 && device == 1 && rom == 1;
    ok &= attachment->call(0, 7).value == 7;
    apps::print_result({{"probe", "not-memory"}, {"seen", seen}, {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
