// SPDX-License-Identifier: Apache-2.0
#include "entry_page.hpp"

#include "closed_gate.hpp"
#include "elisa/guest.hpp"

#include <cerrno>
#include <cstring>
#include <limits>
#include <mutex>
#include <sys/mman.h>

extern "C" {
extern const std::byte elisa_stub_entry[];
extern const std::byte elisa_stub_entry_tpoff[];
extern const std::byte elisa_stub_entry_end[];
extern const std::byte elisa_stub_landing[];
extern const std::byte elisa_stub_landing_tpoff[];
extern const std::byte elisa_stub_landing_end[];
}

namespace elisa::detail {
namespace {

// Initial-exec: at a fixed offset from FS, also in a plugin that is dlopen'ed (8 bytes of
// glibc's static TLS surplus), so that the stub finds it with one instruction.
__attribute__((tls_model("initial-exec"))) thread_local std::uintptr_t rsp_slot;

void put(std::span<std::byte, page_size> page, std::size_t at, const std::byte *begin,
         const std::byte *end, const std::byte *tpoff_end, std::int32_t tpoff)
{
    std::memcpy(page.data() + at, begin, static_cast<std::size_t>(end - begin));
    const auto patch = at + static_cast<std::size_t>(tpoff_end - begin) - sizeof(tpoff);
    std::memcpy(page.data() + patch, &tpoff, sizeof(tpoff));
}

} // namespace

void lay_stub(std::span<std::byte, page_size> page, std::int32_t tpoff)
{
    std::memset(page.data(), 0xcc, page.size());
    put(page, stub_offset, elisa_stub_entry, elisa_stub_entry_end, elisa_stub_entry_tpoff, tpoff);
    put(page, ELISA_LANDING_OFF, elisa_stub_landing, elisa_stub_landing_end,
        elisa_stub_landing_tpoff, tpoff);
}

Result<std::int32_t> rsp_slot_offset()
{
    std::uintptr_t fs = 0;
    __asm__("mov %%fs:0, %0" : "=r"(fs));
    const auto offset =
        static_cast<std::intptr_t>(reinterpret_cast<std::uintptr_t>(&rsp_slot) - fs);
    if (offset < std::numeric_limits<std::int32_t>::min() ||
        offset > std::numeric_limits<std::int32_t>::max()) {
        return make_error(Errc::invalid, "this thread's static TLS is out of the stub's reach");
    }
    return static_cast<std::int32_t>(offset);
}

Result<std::shared_ptr<EntryPage>> EntryPage::get()
{
    static std::mutex mutex;
    static std::weak_ptr<EntryPage> shared;

    const std::lock_guard lock{mutex};
    if (auto page = shared.lock()) {
        return page;
    }
    const auto tpoff = rsp_slot_offset();
    if (!tpoff) {
        return tpoff.error();
    }
    void *const wanted = reinterpret_cast<void *>(ELISA_GATE_VA);
    void *const page = ::mmap(wanted, page_size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (page == MAP_FAILED) {
        const int error = errno;
        if (error == EEXIST) {
            return make_error(Errc::busy, "the address of the ELISA entry page is in use: another "
                                          "copy of libelisa in this process, or a mapping of its "
                                          "own, is in the way");
        }
        return errno_error(error, "mapping the ELISA entry page");
    }
    std::shared_ptr<EntryPage> result{new EntryPage{page}};
    if (page != wanted) {
        return make_error(Errc::invalid, "this kernel does not know MAP_FIXED_NOREPLACE (Linux "
                                         "4.17 or later is needed)");
    }
    lay_stub(std::span<std::byte, page_size>{static_cast<std::byte *>(page), page_size}, *tpoff);
    if (::mprotect(page, page_size, PROT_READ | PROT_EXEC) != 0) {
        return errno_error(errno, "making the ELISA entry page executable");
    }
    if (auto watched = ClosedGate::watch(); !watched) {
        return std::move(watched).error();
    }
    shared = result;
    return result;
}

EntryPage::~EntryPage()
{
    ClosedGate::leave();
    ::munmap(page_, page_size);
}

} // namespace elisa::detail
