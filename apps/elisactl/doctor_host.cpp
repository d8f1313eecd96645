// SPDX-License-Identifier: Apache-2.0
// doctor: the machine that VMs run on, and the VM that a manager or a driver runs in.
#include "doctor.hpp"
#include "host.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

namespace elisactl {
namespace {

namespace fs = std::filesystem;

// Kernels that have our module, by their release.
std::vector<std::string> releases_with_module(const Machine &machine)
{
    std::vector<std::string> found;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator{machine.path("/lib/modules"), ignored}) {
        for (const auto &file :
             fs::recursive_directory_iterator{entry.path() / "updates", ignored}) {
            if (file.path().filename().string().starts_with("elisa.ko")) {
                found.push_back(entry.path().filename());
                break;
            }
        }
    }
    std::ranges::sort(found);
    return found;
}

// installed: which kernel our modules were built for has been settled; else it is to be.
void look_at_kernel(const Machine &machine, bool installed, Findings &findings)
{
    constexpr const char *boot = "boot one of these (apt-get install linux-image-amd64)";
    const std::string release = machine.release();
    if (!release.starts_with("6.1.") && !release.starts_with("6.12.")) {
        findings.push_back(
            {"kernel", Status::problem,
             "Linux " + release + " runs, and there are hooks for Debian's 6.1 and 6.12 only",
             boot});
        return;
    }
    // The hooks are made for the source of Debian's, to the letter.
    const std::string version = machine.text("/proc/version");
    const char *const other = installed ? nullptr
                              : version.find(" Debian ") == std::string::npos
                                  ? "not one of Debian's"
                              : release.find("-rt-") != std::string::npos
                                  ? "a real-time kernel, for which there are no hooks"
                                  : nullptr;
    if (other != nullptr) {
        findings.push_back({"kernel", Status::problem,
                            "the kernel that runs, " + release + ", is " + other, boot});
        return;
    }
    findings.push_back({"kernel", Status::ok, "Linux " + release});
}

void look_at_modules(const Machine &machine, Findings &findings)
{
    const std::string release = machine.release();
    const bool loaded = machine.has_module("elisa");
    const bool patched = machine.text("/sys/module/kvm_intel/version").starts_with("elisa-");
    if (loaded) {
        findings.push_back({"module", Status::ok, "elisa.ko is loaded"});
    } else {
        const auto there = releases_with_module(machine);
        if (std::ranges::find(there, release) != there.end()) {
            findings.push_back({"module", Status::problem,
                                "elisa.ko is installed for this kernel and not loaded",
                                "modprobe elisa"});
        } else if (!there.empty()) {
            findings.push_back(
                {"module", Status::problem,
                 "the kernel that runs, " + release + ", has no elisa.ko; " + there.back() + " has",
                 "dkms autoinstall -k " + release + " (linux-headers-" + release +
                     " must be installed), or boot " + there.back()});
        } else {
            findings.push_back(
                {"module", Status::problem, "elisa.ko is not installed",
                 "install the package elisa-kvm-dkms (from the sources: ./elisa host install)"});
        }
    }
    if (machine.has_module("kvm_intel") && !patched) {
        findings.push_back(
            {"kvm-intel", Status::problem,
             "the stock kvm_intel is loaded, which has no hooks for elisa.ko",
             "end all VMs, then: rmmod kvm_intel && modprobe kvm_intel && modprobe elisa"});
    } else if (!machine.has_module("kvm_intel")) {
        findings.push_back(
            {"kvm-intel", Status::problem, "kvm_intel is not loaded: no VM can run",
             "modprobe kvm_intel; if that fails, elisactl host check says whether this machine can be a host"});
    } else {
        findings.push_back({"kvm-intel", Status::ok, "kvm_intel has the hooks"});
    }
    for (const char *const parameter : {"ept", "unrestricted_guest"}) {
        if (machine.text(std::string{"/sys/module/kvm_intel/parameters/"} + parameter) == "N") {
            findings.push_back({"kvm-parameter", Status::problem,
                                std::string{"kvm_intel was loaded with "} + parameter + "=0",
                                "take that out of /etc/modprobe.d and load kvm_intel again"});
        }
    }
}

// What -cpu says about PCID.
bool without_pcid(const std::vector<std::string> &command)
{
    for (std::size_t i = 0; i + 1 < command.size(); ++i) {
        if (command[i] == "-cpu") {
            const std::string cpu = command[i + 1] + ",";
            return cpu.find(",-pcid,") != std::string::npos ||
                   cpu.find(",pcid=off,") != std::string::npos;
        }
    }
    return false;
}

std::vector<RunningVm> vms_of(const Machine &machine)
{
    if (machine.is_this_one()) {
        return running_vms();
    }
    // A copy has command lines, and no open files.
    std::vector<RunningVm> found;
    std::error_code ignored;
    for (const auto &entry : fs::directory_iterator{machine.path("/proc"), ignored}) {
        const std::string name = entry.path().filename();
        pid_t pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr !=
            name.data() + name.size()) {
            continue;
        }
        std::vector<std::string> words;
        const std::string text = machine.text("/proc/" + name + "/cmdline");
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t end = std::min(text.find('\0', at), text.size());
            words.push_back(text.substr(at, end - at));
            at = end + 1;
        }
        if (!words.empty() && words[0].find("qemu-system") != std::string::npos) {
            found.push_back({pid, std::move(words)});
        }
    }
    return found;
}

void look_at_vms(const Machine &machine, Findings &findings)
{
    const auto vms = vms_of(machine);
    for (const RunningVm &vm : vms) {
        if (!vm.command.empty() && vm.command[0].find("qemu") != std::string::npos &&
            !without_pcid(vm.command)) {
            findings.push_back(
                {"pcid", Status::problem,
                 "the VM of process " + std::to_string(vm.pid) +
                     " has PCID: attaching is refused there",
                 "start it with -cpu host,-pcid (libvirt: <feature policy='disable' name='pcid'/> in <cpu>)"});
        }
    }
    if (vms.empty()) {
        findings.push_back({"vms", Status::note, "no VM runs"});
    }
}

// What a refusal means, by its error.
const char *advice(int error)
{
    switch (error) {
    case ELISA_E_ROLE:
        return "a call that its role may not make: elisactl host list shows roles; register it again with the other --role";
    case ELISA_E_NOENT:
        return "it asked for an export that is not there: start vmnet in the manager's VM, and compare the names";
    case ELISA_E_REFUSED:
        return "the manager refused it: add a [[guest]] with its label to vmnet's configuration, then elisactl reload there";
    case ELISA_E_QUOTA:
        return "it has used up its quota: elisactl host quota ID --pinned-pages ... (or --table-pages, --attachments, --exports)";
    case ELISA_E_PCID:
        return "its CPUs have PCID: start QEMU with -cpu host,-pcid";
    case ELISA_E_MEMORY:
        return "the memory that it named is not its own plain memory: hugepages of the guest, no device memory";
    case ELISA_E_NESTED:
        return "it runs VMs itself: not while it is attached (kvm_intel nested=0 in it, or -cpu host,-vmx)";
    case ELISA_E_FEATURE:
    case ELISA_E_HOST:
        return "a feature of its CPU or of this host is in the way: see the guest's message";
    case ELISA_E_IDT:
        return "its kernel has its IDT where the switch would be";
    default:
        return nullptr;
    }
}

// A question that waits is nothing; one that nobody has answered some time later, to a manager that
// has nothing else to do, is.
void look_at_answers(const Host &host, const std::vector<elisa_export_info> &before,
                     Findings &findings)
{
    const auto asked = [](const elisa_export_info &one) {
        return one.state == ELISA_EXPORT_LIVE && one.events != 0;
    };
    if (std::ranges::none_of(before, asked)) {
        return;
    }
    std::this_thread::sleep_for(std::chrono::seconds{2});
    const auto now = host.exports();
    for (const elisa_export_info &one : now ? *now : std::vector<elisa_export_info>{}) {
        if (asked(one) && std::ranges::any_of(before, [&](const elisa_export_info &old) {
                return old.id == one.id && asked(old);
            })) {
            findings.push_back(
                {"manager-answers", Status::problem,
                 std::string{"the manager of '"} + one.name + "' does not answer: " +
                     std::to_string(one.events) + " question(s) of guests wait",
                 "look at vmnet in the manager's VM; if it was killed, start it again: it takes the switch over"});
        }
    }
}

} // namespace

void look_at_host_software(const Machine &machine, Findings &findings)
{
    look_at_kernel(machine, false, findings);
    look_at_modules(machine, findings);
}

void look_at_host(const Machine &machine, Findings &findings)
{
    look_at_kernel(machine, true, findings);
    look_at_modules(machine, findings);
    look_at_vms(machine, findings);
}

void look_at_module(Findings &findings)
{
    const auto host = Host::open();
    if (!host) {
        findings.push_back({"device", Status::problem, host.error().message,
                            "run elisactl as root, of the same version as elisa.ko"});
        return;
    }
    const auto vms = host->vms();
    const auto exports = host->exports();
    if (!vms || !exports) {
        findings.push_back(
            {"device", Status::problem, (vms ? exports.error() : vms.error()).message});
        return;
    }
    for (const RunningVm &running : running_vms()) {
        if (std::ranges::none_of(*vms,
                                 [&](const elisa_vm_info &vm) { return vm.pid == running.pid; })) {
            findings.push_back({"registered", Status::note,
                                "the VM of process " + std::to_string(running.pid) +
                                    " has no role: whatever it asks is refused",
                                "elisactl host add --pid " + std::to_string(running.pid) +
                                    " --role guest --label NAME"});
        }
    }
    if (std::ranges::none_of(
            *vms, [](const elisa_vm_info &vm) { return vm.role == ELISA_ROLE_MANAGER; })) {
        findings.push_back({"manager", Status::problem,
                            "no VM is the manager: nobody can export a switch",
                            "elisactl host add --pid PID --role manager --label NAME"});
    }
    bool live = false;
    for (const elisa_export_info &one : *exports) {
        live = live || one.state == ELISA_EXPORT_LIVE;
        if (one.state == ELISA_EXPORT_ORPHAN) {
            findings.push_back(
                {"export", Status::problem,
                 std::string{"the VM that managed '"} + one.name +
                     "' has ended: its guests go on, nobody new is admitted",
                 "elisactl export revoke (the id is in elisactl export list), then start vmnet in a new manager VM"});
        }
    }
    look_at_answers(*host, *exports, findings);
    if (!live) {
        findings.push_back(
            {"export", Status::problem, "nothing is exported", "start vmnet in the manager's VM"});
    } else {
        findings.push_back({"export", Status::ok, "the switch is exported"});
    }
    for (const elisa_vm_info &vm : *vms) {
        for (int error = 1; error < ELISA_REFUSALS; ++error) {
            const char *const what = vm.refusals[error] != 0 ? advice(error) : nullptr;
            if (what != nullptr) {
                findings.push_back({"refused", Status::note,
                                    std::string{"'"} + vm.label + "' was refused " +
                                        std::to_string(vm.refusals[error]) + " time(s) with " +
                                        std::string{elisa::abi_error_name(-error)},
                                    what});
            }
        }
    }
}

void look_at_vm(const Machine &machine, const std::string &driver, Findings &findings)
{
    const auto flags = machine.cpu_flags();
    if (flags.contains("pcid")) {
        findings.push_back({"pcid", Status::problem,
                            "the VM's CPUs have PCID: attaching is refused",
                            "start QEMU with -cpu host,-pcid"});
    } else {
        findings.push_back({"pcid", Status::ok, "no PCID"});
    }
    // Of hugepages of 2 MB, whatever the default size is.
    const std::string pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
    const auto count = [&](const char *file) {
        const std::string text = machine.text(pool + file);
        unsigned long value = 0;
        std::from_chars(text.data(), text.data() + text.size(), value);
        return value;
    };
    if (count("nr_hugepages") == 0) {
        findings.push_back(
            {"hugepages", Status::problem,
             "there are no hugepages of 2 MB, and all packet memory, and the switch, must be of them",
             "sysctl vm.nr_hugepages=128 (at boot: hugepages=128 on the kernel's command line)"});
    } else if (count("free_hugepages") == 0) {
        findings.push_back(
            {"hugepages", Status::note, "all hugepages are in use: nothing else can be started",
             "sysctl vm.nr_hugepages=... more, or remove what a killed process left in /dev/hugepages"});
    } else {
        findings.push_back({"hugepages", Status::ok,
                            std::to_string(count("free_hugepages")) + " free hugepages of 2 MB"});
    }
    if (machine.text("/proc/mounts").find(" hugetlbfs ") == std::string::npos) {
        findings.push_back(
            {"hugetlbfs", Status::problem,
             "no hugetlbfs is mounted: DPDK finds no hugepages, and a manager cannot be restarted without ending its switch",
             "mount -t hugetlbfs none /dev/hugepages"});
    }
    const std::string config = machine.text("/boot/config-" + machine.release());
    if (config.find("# CONFIG_X86_IOPL_IOPERM is not set") != std::string::npos) {
        findings.push_back(
            {"ioperm", Status::problem,
             "this kernel has no ioperm (CONFIG_X86_IOPL_IOPERM): no process can make calls",
             "boot a distribution's kernel"});
    }
    if (const std::string lockdown = machine.lockdown();
        lockdown == "integrity" || lockdown == "confidentiality") {
        findings.push_back(
            {"lockdown", Status::problem, "the kernel is locked down and grants nobody I/O ports",
             "switch Secure Boot off in this VM, or leave lockdown= out of its kernel's command line"});
    }
    if (machine.is_this_one() && ::geteuid() != 0) {
        findings.push_back(
            {"root", Status::problem,
             "not root: CAP_SYS_RAWIO and CAP_SYS_ADMIN are needed for drivers and managers",
             "run as root"});
    }
    if (driver.empty()) {
        return;
    }
    if (!machine.exists(driver)) {
        findings.push_back({"driver", Status::problem, "there is no " + driver,
                            "give -d the path of librte_net_rvif.so"});
        return;
    }
    bool open = false;
    for (fs::path folder = fs::path{driver}.parent_path(); !folder.empty();
         folder = folder.parent_path()) {
        if (struct stat st{};
            ::stat(machine.path(folder).c_str(), &st) == 0 && (st.st_mode & S_IWOTH) != 0) {
            open = true;
            findings.push_back(
                {"driver", Status::problem,
                 "DPDK takes no driver from there: everybody can write to " + folder.string(),
                 "put librte_net_rvif.so into a folder of root's, such as /usr/lib/elisa"});
        }
        if (folder == folder.root_path()) {
            break;
        }
    }
    if (!open) {
        findings.push_back({"driver", Status::ok, driver});
    }
}

} // namespace elisactl
