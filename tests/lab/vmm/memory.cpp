// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"
#include "parties.hpp"
#include "stubs.hpp"

#include <linux/capability.h>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>

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

} // namespace vmm
