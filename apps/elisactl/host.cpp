// SPDX-License-Identifier: Apache-2.0
#include "host.hpp"

#include "elisa/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <fstream>
#include <memory>
#include <string>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace elisactl {
namespace {

using elisa::errno_error;
using elisa::make_error;
using elisa::Result;
using elisa::UniqueFd;

constexpr const char *device_path = "/dev/elisa";
constexpr std::string_view vm_link = "anon_inode:kvm-vm";

std::optional<int> number_of_vm_fd(pid_t pid, int &error)
{
    const std::string directory = "/proc/" + std::to_string(pid) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR *)> entries{::opendir(directory.c_str()), ::closedir};
    if (!entries) {
        error = errno;
        return std::nullopt;
    }
    error = 0;
    while (const dirent *const entry = ::readdir(entries.get())) {
        char target[PATH_MAX];
        const ssize_t n =
            ::readlinkat(::dirfd(entries.get()), entry->d_name, target, sizeof(target));
        if (n < 0 || std::string_view{target, static_cast<std::size_t>(n)} != vm_link) {
            continue;
        }
        int fd = -1;
        const char *const end = entry->d_name + std::strlen(entry->d_name);
        if (std::from_chars(entry->d_name, end, fd).ec == std::errc{}) {
            return fd;
        }
    }
    return std::nullopt;
}

std::vector<std::string> command_of(pid_t pid)
{
    std::ifstream file{"/proc/" + std::to_string(pid) + "/cmdline", std::ios::binary};
    std::vector<std::string> words;
    for (std::string word; std::getline(file, word, '\0');) {
        words.push_back(word);
    }
    return words;
}

// What the module lists by index, until it says ENOENT.
template <class Info>
Result<std::vector<Info>> listed(int device, unsigned long request, const char *what)
{
    std::vector<Info> all;
    for (std::uint32_t index = 0;; ++index) {
        Info info{};
        info.index = index;
        if (::ioctl(device, request, &info) != 0) {
            const int error = errno;
            if (error == ENOENT) {
                return all;
            }
            return errno_error(error, what);
        }
        all.push_back(info);
    }
}

} // namespace

Result<UniqueFd> vm_of_process(pid_t pid)
{
    const std::string name = "process " + std::to_string(pid);
    // The pidfd first: the number cannot come to mean another process after it.
    const UniqueFd process{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
    if (!process) {
        return errno_error(errno, name);
    }
    int error = 0;
    const auto number = number_of_vm_fd(pid, error);
    if (error != 0) {
        return errno_error(error, "looking at the files of " + name);
    }
    if (!number) {
        return elisa::Error{elisa::make_error_code(elisa::Errc::no_entry),
                            name + " has no KVM virtual machine (no " + std::string{vm_link} +
                                " among its files); give the process id of QEMU, and start it "
                                "with -enable-kvm"};
    }
    UniqueFd fd{static_cast<int>(::syscall(SYS_pidfd_getfd, process.get(), *number, 0))};
    if (!fd) {
        return errno_error(errno, "taking the VM of " + name + " (needs CAP_SYS_PTRACE)");
    }
    return fd;
}

std::vector<RunningVm> running_vms()
{
    std::vector<RunningVm> found;
    const std::unique_ptr<DIR, int (*)(DIR *)> processes{::opendir("/proc"), ::closedir};
    while (const dirent *const entry = processes ? ::readdir(processes.get()) : nullptr) {
        pid_t pid = 0;
        const char *const end = entry->d_name + std::strlen(entry->d_name);
        if (std::from_chars(entry->d_name, end, pid).ptr != end || pid == 0) {
            continue;
        }
        int error = 0;
        if (number_of_vm_fd(pid, error)) {
            found.push_back({pid, command_of(pid)});
        }
    }
    return found;
}

Result<pid_t> process_of_vm(const std::string &name)
{
    std::vector<pid_t> found;
    for (const RunningVm &vm : running_vms()) {
        for (std::size_t i = 0; i + 1 < vm.command.size(); ++i) {
            if (vm.command[i] != "-name") {
                continue;
            }
            // NAME,..., or guest=NAME,...
            std::string given = vm.command[i + 1].substr(0, vm.command[i + 1].find(','));
            constexpr std::string_view key = "guest=";
            if (given.starts_with(key)) {
                given.erase(0, key.size());
            }
            if (given == name) {
                found.push_back(vm.pid);
            }
        }
    }
    if (found.size() == 1) {
        return found.front();
    }
    return make_error(elisa::Errc::no_entry,
                      found.empty()
                          ? "no running VM is called '" + name + "' (virsh list; or give --pid)"
                          : "several running VMs are called '" + name + "': give --pid");
}

Result<Host> Host::open()
{
    UniqueFd device{::open(device_path, O_RDWR | O_CLOEXEC)};
    if (!device) {
        const int error = errno;
        if (error == ENOENT || error == ENODEV || error == ENXIO) {
            return elisa::Error{{error, std::generic_category()},
                                "there is no /dev/elisa: load the patched kvm-intel and elisa.ko "
                                "(modprobe elisa)"};
        }
        if (error == EACCES || error == EPERM) {
            return elisa::Error{{error, std::generic_category()},
                                "/dev/elisa belongs to the host's administrator: run as root"};
        }
        return errno_error(error, device_path);
    }
    Host host{std::move(device)};
    const auto stats = host.stats();
    if (!stats) {
        return stats.error();
    }
    if (stats->abi_version != ELISA_ABI_VERSION) {
        return make_error(elisa::Errc::abi_version,
                          "elisa.ko speaks ABI version " + std::to_string(stats->abi_version) +
                              ", this elisactl " + std::to_string(ELISA_ABI_VERSION));
    }
    return host;
}

Result<std::uint64_t> Host::add(int vm_fd, elisa_role role, std::string_view label)
{
    if (auto packed = elisa::doorbell::pack_name(label); !packed) {
        return packed.error();
    }
    elisa_vm_add request{};
    request.fd = vm_fd;
    request.role = role;
    std::memcpy(request.label, label.data(), label.size());
    if (::ioctl(device_.get(), ELISA_IOC_VM_ADD, &request) != 0) {
        const int error = errno;
        std::string what = "registering the VM";
        if (error == EEXIST || error == EBUSY) {
            what = "this VM is registered already (elisactl host list)";
        } else if (error == EINVAL || error == EBADF) {
            what = "the file is not a VM of the patched kvm-intel";
        }
        return errno_error(error, std::move(what));
    }
    return request.id;
}

Result<void> Host::remove(std::uint64_t id)
{
    elisa_vm_remove request{};
    request.id = id;
    if (::ioctl(device_.get(), ELISA_IOC_VM_REMOVE, &request) != 0) {
        const int error = errno;
        return errno_error(error, error == ENOENT ? "no VM has this id (elisactl host list)"
                                                  : "removing the VM");
    }
    return {};
}

Result<elisa_host_stats> Host::stats() const
{
    elisa_host_stats stats{};
    if (::ioctl(device_.get(), ELISA_IOC_STATS, &stats) != 0) {
        return errno_error(errno, "reading the module's counters");
    }
    return stats;
}

Result<std::vector<elisa_vm_info>> Host::vms() const
{
    auto all = listed<elisa_vm_info>(device_.get(), ELISA_IOC_VM_INFO, "listing VMs");
    if (all) {
        for (elisa_vm_info &info : *all) {
            info.label[sizeof(info.label) - 1] = '\0';
        }
    }
    return all;
}

Result<void> Host::set_quota(const elisa_vm_quota &quota)
{
    if (::ioctl(device_.get(), ELISA_IOC_VM_QUOTA, &quota) != 0) {
        const int error = errno;
        return errno_error(error, error == ENOENT ? "no VM has this id (elisactl host list)"
                                                  : "setting the quota");
    }
    return {};
}

Result<std::vector<elisa_export_info>> Host::exports() const
{
    auto all = listed<elisa_export_info>(device_.get(), ELISA_IOC_EXPORT_INFO, "listing exports");
    if (all) {
        for (elisa_export_info &info : *all) {
            info.name[sizeof(info.name) - 1] = '\0';
            info.label[sizeof(info.label) - 1] = '\0';
        }
    }
    return all;
}

Result<void> Host::revoke(std::uint64_t export_id)
{
    const elisa_export_revoke request{.id = export_id};
    if (::ioctl(device_.get(), ELISA_IOC_EXPORT_REVOKE, &request) != 0) {
        const int error = errno;
        return errno_error(error, error == ENOENT ? "no export has this id (elisactl export list)"
                                                  : "revoking the export");
    }
    return {};
}

} // namespace elisactl
