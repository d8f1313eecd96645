// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include "vm.hpp"

#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>

namespace vmm {

Host::Host() : device_{::open("/dev/elisa", O_RDWR | O_CLOEXEC)}
{
    if (!device_) {
        fail("/dev/elisa");
    }
}

std::uint64_t Host::add(const Vm &vm, elisa_role role)
{
    elisa_vm_add request{};
    request.fd = vm.fd();
    request.role = static_cast<std::uint32_t>(role);
    std::strcpy(request.label, "vmm");
    if (::ioctl(device_.get(), ELISA_IOC_VM_ADD, &request) != 0) {
        fail("adding a VM");
    }
    return request.id;
}

elisa_vm_quota Host::unchanged(std::uint64_t vm)
{
    elisa_vm_quota quota;
    std::memset(&quota, 0xff, sizeof(quota));
    quota.id = vm;
    return quota;
}

void Host::set(elisa_vm_quota quota)
{
    if (::ioctl(device_.get(), ELISA_IOC_VM_QUOTA, &quota) != 0) {
        fail("a quota");
    }
}

elisa_host_stats Host::stats() const
{
    elisa_host_stats stats{};
    if (::ioctl(device_.get(), ELISA_IOC_STATS, &stats) != 0) {
        fail("the host's statistics");
    }
    return stats;
}

elisa_vm_info Host::vm(std::uint64_t id) const
{
    elisa_vm_info info{};
    do {
        if (::ioctl(device_.get(), ELISA_IOC_VM_INFO, &info) != 0) {
            fail("a VM's statistics");
        }
        ++info.index;
    } while (info.id != id);
    return info;
}

std::uint32_t Host::events(std::uint64_t export_id) const
{
    elisa_export_info info{};
    do {
        if (::ioctl(device_.get(), ELISA_IOC_EXPORT_INFO, &info) != 0) {
            fail("an export's statistics");
        }
        ++info.index;
    } while (info.id != export_id);
    return info.events;
}

} // namespace vmm
