// SPDX-License-Identifier: Apache-2.0
// host check: whether this machine can be a host at all, module or no module. `./elisa host check`
// asks the same of a machine that has the sources and nothing installed yet.
#include "doctor.hpp"
#include "elisa/unique_fd.hpp"

#include <array>
#include <charconv>
#include <fcntl.h>
#include <fmt/format.h>
#include <optional>
#include <unistd.h>

namespace elisactl {
namespace {

// SDM appendix A, and chapter 36 for the last.
constexpr std::uint32_t msr_feature_control = 0x3a;
constexpr std::uint32_t msr_procbased_ctls2 = 0x48b;
constexpr std::uint32_t msr_ept_vpid_cap = 0x48c;
constexpr std::uint32_t msr_vmfunc = 0x491;

constexpr std::uint64_t bit(unsigned n)
{
    return std::uint64_t{1} << n;
}
constexpr std::uint64_t locked = bit(0);
constexpr std::uint64_t vmx_outside_smx = bit(2);
// In the allowed-1 half of msr_procbased_ctls2.
constexpr std::uint64_t has_ept = bit(33);
constexpr std::uint64_t has_unrestricted_guest = bit(39);
constexpr std::uint64_t has_vm_functions = bit(45);
constexpr std::uint64_t has_execute_only = bit(0);
constexpr std::uint64_t has_eptp_switching = bit(0);

// Of CPU 0; nothing where it cannot be read: no msr driver, not root, or the CPU does not have it.
std::optional<std::uint64_t> msr(const Machine &machine, std::uint32_t number)
{
    // Of a copy: the driver's file cannot be copied.
    if (const std::string text = machine.text(fmt::format("/msr/{:#x}", number)); text.size() > 2) {
        std::uint64_t value = 0;
        std::from_chars(text.data() + 2, text.data() + text.size(), value, 16);
        return value;
    }
    const elisa::UniqueFd fd{::open(machine.path("/dev/cpu/0/msr").c_str(), O_RDONLY | O_CLOEXEC)};
    std::uint64_t value = 0;
    if (!fd || ::pread(fd.get(), &value, sizeof(value), number) != sizeof(value)) {
        return std::nullopt;
    }
    return value;
}

bool is_vm(const Machine &machine)
{
    return machine.cpu_flags().contains("hypervisor");
}

bool look_at_vendor(const Machine &machine, Findings &findings)
{
    const std::string vendor = machine.cpu_field("vendor_id");
    const std::string model = machine.cpu_field("model name");
    if (vendor == "GenuineIntel") {
        findings.push_back({"cpu", Status::ok, model});
        return true;
    }
    findings.push_back(
        {"cpu", Status::problem,
         fmt::format("the processor ({}, {}) is not Intel's: only Intel's have VMFUNC",
                     model.empty() ? "unknown" : model, vendor.empty() ? "unknown vendor" : vendor),
         "another machine; the emulated host of the sources runs anywhere: ./elisa demo"});
    return false;
}

bool look_at_vmx(const Machine &machine, Findings &findings)
{
    if (machine.cpu_flags().contains("vmx")) {
        findings.push_back({"vmx", Status::ok, "VT-x is there and on"});
        return true;
    }
    const auto control = msr(machine, msr_feature_control);
    const bool off = control && (*control & locked) != 0 && (*control & vmx_outside_smx) == 0;
    if (!off && is_vm(machine)) {
        findings.push_back(
            {"vmx", Status::problem,
             "this is a virtual machine to which its host does not give VT-x",
             "nested virtualization: kvm_intel.nested=1 and -cpu host, where its host is KVM"});
    } else {
        findings.push_back({"vmx", Status::problem,
                            off ? "VT-x is switched off by the firmware"
                                : "the processor has no VT-x, or the firmware has switched it off",
                            "switch on 'Intel Virtualization Technology' in the firmware's setup"});
    }
    return false;
}

bool look_at_ept(const Machine &machine, Findings &findings)
{
    struct Wanted {
        const char *what;
        const char *flag; // among the kernel's vmx flags
        std::uint32_t msr;
        std::uint64_t bit;
    };
    constexpr std::array all{
        Wanted{"EPT", "ept", msr_procbased_ctls2, has_ept},
        Wanted{"execute-only EPT", "ept_x_only", msr_ept_vpid_cap, has_execute_only},
        Wanted{"unrestricted guest", "unrestricted_guest", msr_procbased_ctls2,
               has_unrestricted_guest},
    };
    const auto flags = machine.vmx_flags();
    for (const Wanted &one : all) {
        const auto value = msr(machine, one.msr);
        if (value ? (*value & one.bit) != 0 : flags.contains(one.flag)) {
            continue;
        }
        const bool known = value || !flags.empty();
        findings.push_back(
            {"ept", Status::problem,
             known ? fmt::format("the processor has no {}", one.what)
                   : fmt::format("nothing tells whether the processor has {}", one.what),
             known ? "another machine: all of Westmere (2010) and later have it"
                   : "modprobe msr, as root"});
        return false;
    }
    findings.push_back({"ept", Status::ok, "EPT, execute-only EPT and unrestricted guest"});
    return true;
}

bool look_at_vmfunc(const Machine &machine, Findings &findings)
{
    // /proc/cpuinfo would have it as eptp_switching, but 6.1 and 6.12 look at the wrong half of the
    // MSR and never show it.
    const auto controls = msr(machine, msr_procbased_ctls2);
    if (!controls) {
        findings.push_back({"vmfunc", Status::problem,
                            "nothing tells whether there is EPTP switching by VMFUNC",
                            "modprobe msr, as root"});
        return false;
    }
    if ((*controls & has_vm_functions) != 0 &&
        (msr(machine, msr_vmfunc).value_or(0) & has_eptp_switching) != 0) {
        findings.push_back({"vmfunc", Status::ok, "EPTP switching by VMFUNC"});
        return true;
    }
    findings.push_back(
        {"vmfunc", Status::problem, "the processor does not offer EPTP switching by VMFUNC",
         is_vm(machine) ? "this is a virtual machine, and its host may hide it"
                        : "another machine: Haswell (2013) and later have it, not all of them"});
    return false;
}

bool look_at_nesting(const Machine &machine, Findings &findings)
{
    if (machine.text("/sys/module/kvm_intel/parameters/enlightened_vmcs") == "Y") {
        findings.push_back({"nested", Status::problem,
                            "KVM uses Hyper-V's enlightened VMCS, which cannot do VMFUNC",
                            "load kvm_intel with enlightened_vmcs=0"});
        return false;
    }
    if (is_vm(machine)) {
        findings.push_back(
            {"nested", Status::note,
             "this is itself a virtual machine: each VMFUNC of a guest is a VM exit to "
             "its own host. All works and is isolated, nothing is exit-less",
             "for figures, a machine that is none"});
    } else {
        findings.push_back({"nested", Status::ok, "not a virtual machine itself"});
    }
    return true;
}

bool is_secure_boot_on(const Machine &machine)
{
    std::error_code ignored;
    for (const auto &entry :
         std::filesystem::directory_iterator{machine.path("/sys/firmware/efi/efivars"), ignored}) {
        const std::string name = entry.path().filename();
        if (name.starts_with("SecureBoot-")) {
            // Four bytes of attributes, then the value.
            const std::string content = machine.text("/sys/firmware/efi/efivars/" + name);
            return !content.empty() && content.back() == '\x01';
        }
    }
    return false;
}

void look_at_signatures(const Machine &machine, Findings &findings)
{
    const std::string lockdown = machine.lockdown();
    const bool is_locked = !lockdown.empty() && lockdown != "none";
    const char *why = nullptr;
    const char *otherwise = nullptr;
    if (is_locked && is_secure_boot_on(machine)) {
        why = "Secure Boot is on";
        otherwise = "switch Secure Boot off";
    } else if (machine.text("/sys/module/module/parameters/sig_enforce") == "Y") {
        why = "module.sig_enforce is set";
        otherwise = "leave module.sig_enforce out of the kernel's command line";
    } else if (is_locked) {
        why = "the kernel is locked down";
        otherwise = "leave lockdown= out of its command line";
    } else {
        findings.push_back({"signatures", Status::ok, "unsigned modules may be loaded"});
        return;
    }
    findings.push_back(
        {"signatures", Status::problem,
         fmt::format("the kernel takes signed modules only: {}", why),
         fmt::format(
             "have DKMS' key enrolled (mokutil --import /var/lib/dkms/mok.pub, then reboot), or {}",
             otherwise)});
}

} // namespace

void look_at_host_hardware(const Machine &machine, Findings &findings)
{
    // What the processor lacks is said once: the rest follows from it.
    for (const auto look :
         {look_at_vendor, look_at_vmx, look_at_ept, look_at_vmfunc, look_at_nesting}) {
        if (!look(machine, findings)) {
            break;
        }
    }
    look_at_signatures(machine, findings);
}

} // namespace elisactl
