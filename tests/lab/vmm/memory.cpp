// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"
#include "parties.hpp"
#include "stubs.hpp"

#include <atomic>
#include <chrono>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <thread>

namespace vmm {
namespace {

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t spare = 16 << 20; // behind the VM's memory

std::string error(std::int64_t result)
{
    return "result " + std::to_string(result);
}

// Without CAP_IPC_LOCK, and with little that may be locked.
class LittleLocked {
  public:
    LittleLocked()
    {
        ::getrlimit(RLIMIT_MEMLOCK, &old_);
        const rlimit little{.rlim_cur = 16 * page, .rlim_max = old_.rlim_max};
        capable(false);
        if (::setrlimit(RLIMIT_MEMLOCK, &little) != 0) {
            fail("RLIMIT_MEMLOCK");
        }
    }
    LittleLocked(const LittleLocked &) = delete;
    LittleLocked &operator=(const LittleLocked &) = delete;
    ~LittleLocked()
    {
        capable(true);
        ::setrlimit(RLIMIT_MEMLOCK, &old_);
    }

  private:
    static void capable(bool yes)
    {
        __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
        __user_cap_data_struct sets[2]{};
        constexpr std::uint32_t lock = 1u << CAP_IPC_LOCK;
        if (::syscall(SYS_capget, &header, sets) != 0) {
            fail("capget");
        }
        sets[0].effective = yes ? sets[0].effective | lock : sets[0].effective & ~lock;
        if (::syscall(SYS_capset, &header, sets) != 0) {
            fail("capset");
        }
    }

    rlimit old_{};
};

// A page that nobody fills before it is told to.
class Unfilled {
  public:
    Unfilled() : fd_{static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK))}
    {
        uffdio_api api{};
        api.api = UFFD_API;
        uffdio_register range{};
        range.range = {.start = address(), .len = page};
        range.mode = UFFDIO_REGISTER_MODE_MISSING;
        if (!fd_ || ::ioctl(fd_.get(), UFFDIO_API, &api) != 0 ||
            ::ioctl(fd_.get(), UFFDIO_REGISTER, &range) != 0) {
            fail("userfaultfd");
        }
    }
    [[nodiscard]] std::byte *data() const { return memory_.data(); }
    // Somebody waits for it.
    [[nodiscard]] bool wanted() const
    {
        pollfd one{.fd = fd_.get(), .events = POLLIN, .revents = 0};
        return ::poll(&one, 1, 10'000) == 1;
    }
    void fill() const
    {
        uffdio_zeropage zero{};
        zero.range = {.start = address(), .len = page};
        ::ioctl(fd_.get(), UFFDIO_ZEROPAGE, &zero);
    }

  private:
    [[nodiscard]] std::uint64_t address() const
    {
        return reinterpret_cast<std::uint64_t>(memory_.data());
    }

    Memory memory_{page};
    elisa::UniqueFd fd_;
};

} // namespace

void window(Report &report)
{
    Host host;
    Manager manager{host};
    manager.publish("vmm-window");
    Guest guest{host};
    const Memory memory{2 * page};
    const auto attach_with = [&](std::uint64_t gpa, std::uint64_t length) {
        guest.vm.slot(2, gpa, length, memory.data());
        const std::int64_t result = guest.try_attach("vmm-window");
        guest.vm.slot(2, gpa, 0, memory.data());
        return result;
    };
    const auto refused = [&](const char *what, std::uint64_t gpa, std::uint64_t length) {
        const std::int64_t result = attach_with(gpa, length);
        report.expect(what, result == -ELISA_E_OVERLAP, error(result));
    };
    const std::uint64_t begin = window_gpa();
    refused("memory that reaches into the window", begin - page, 2 * page);
    refused("memory in it", begin + (1 << 30), page);
    refused("memory at its end", begin + ELISA_SLOT_SIZE - page, page);
    const std::int64_t result = attach_with(begin - page, page);
    report.expect("memory below it does no harm", result == 0, error(result));
}

void pins(Report &report)
{
    Host host;
    Manager manager{host};
    const Memory memory{6 * page};
    const auto give = [&](std::uint32_t slot, std::uint64_t number, std::uint32_t flags) {
        manager.vm.slot(slot, spare + number * page, page, memory.data() + number * page, flags);
    };
    give(2, 0, 0);
    give(3, 1, KVM_MEM_READONLY);
    give(4, 2, KVM_MEM_LOG_DIRTY_PAGES);
    give(5, 3, 0);
    ::mprotect(memory.data() + 3 * page, page, PROT_READ);
    std::uint64_t offset = 0;
    const auto expect = [&](const char *what, std::int64_t wanted, std::uint64_t gpa,
                            std::uint64_t pages = 1) {
        const std::int64_t result = manager.add(offset, gpa, pages * page);
        offset += pages * page;
        report.expect(what, result == wanted, error(result));
    };
    if (manager.create("vmm-pins", 16) != 0) {
        throw std::runtime_error{"no export"};
    }
    expect("plain memory", 0, spare);
    expect("a read-only slot", -ELISA_E_MEMORY, spare + page);
    expect("a slot with dirty logging", -ELISA_E_MEMORY, spare + 2 * page);
    expect("memory that this process may not write", -ELISA_E_MEMORY, spare + 3 * page);
    expect("no slot", -ELISA_E_MEMORY, spare + 4 * page);
    expect("a slot that ends too early", -ELISA_E_MEMORY, at::end - page, 2);
    expect("KVM's own slot: the APIC", -ELISA_E_MEMORY, 0xfee0'0000);
}

void locked_limit(Report &report)
{
    Host host;
    Manager manager{host};
    constexpr std::uint64_t much = 64 * page;
    if (manager.create("vmm-locked", 64) != 0) {
        throw std::runtime_error{"no export"};
    }
    std::int64_t result = 0;
    {
        const LittleLocked little;
        result = manager.add(0, at::data, much);
    }
    report.expect("more than RLIMIT_MEMLOCK", result == -ELISA_E_QUOTA, error(result));
    result = manager.add(0, at::data, much);
    report.expect("with CAP_IPC_LOCK", result == 0, error(result));
}

void slow_memory(Report &report)
{
    if (const elisa::UniqueFd there{static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC))};
        !there) {
        report.expect("not run: this kernel has no userfaultfd", true);
        return;
    }
    Host host;
    Manager manager{host};
    if (manager.create("vmm-slow", 2) != 0) {
        throw std::runtime_error{"no export"};
    }
    const auto hang = [&](const char *what, std::uint64_t offset, elisa_map kind) {
        const Unfilled unfilled;
        manager.vm.slot(2, spare, page, unfilled.data());
        std::int64_t result = -1;
        std::thread caller{[&] { result = manager.add(offset, spare, page, kind); }};
        const bool hangs = unfilled.wanted();
        std::atomic<bool> answered{false};
        std::thread asker{[&] {
            static_cast<void>(host.stats());
            answered = true;
        }};
        for (int i = 0; i < 50 && !answered; ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds{100});
        }
        const bool others_go_on = answered;
        unfilled.fill();
        caller.join();
        asker.join();
        manager.vm.slot(2, spare, 0, unfilled.data());
        // Linux 6.1 does not wait for such memory to pin it.
        const bool refused = kind == ELISA_MAP_DATA && !hangs && result == -ELISA_E_MEMORY;
        report.expect(what, refused || (hangs && others_go_on && result == 0),
                      error(result) + (hangs ? "" : ", it did not hang") +
                          (others_go_on ? "" : ", others hang, too"));
    };
    hang("pinned", 0, ELISA_MAP_DATA);
    hang("copied", page, ELISA_MAP_TEXT);
}

} // namespace vmm
