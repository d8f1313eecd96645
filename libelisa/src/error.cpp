// SPDX-License-Identifier: Apache-2.0
#include "elisa/error.hpp"

#include <array>
#include <cerrno>

namespace elisa {
namespace {

struct Entry {
    Errc code;
    std::string_view name; // of the ABI; empty for libelisa's own
    std::string_view what;
    std::string_view fix; // empty: nothing the reader can do beyond what is said
};

constexpr std::array entries{
    Entry{Errc::bad_call, "ELISA_E_BADCALL", "the host's ELISA module does not know this call",
          "install the same release of elisa.ko and libelisa"},
    Entry{Errc::role, "ELISA_E_ROLE", "this VM's role does not allow it",
          "on the host, give the VM a role: elisactl host add --pid QEMU_PID --role guest|manager "
          "--label LABEL"},
    Entry{Errc::invalid, "ELISA_E_INVAL", "malformed argument", ""},
    Entry{Errc::no_entry, "ELISA_E_NOENT", "no such export, attachment or region",
          "check the name, and that its manager runs"},
    Entry{Errc::exists, "ELISA_E_EXIST", "the name is taken",
          "stop the manager that holds it, or choose another name with --export"},
    Entry{Errc::refused, "ELISA_E_REFUSED", "the manager refused",
          "admit this VM's label in the manager's configuration"},
    Entry{Errc::state, "ELISA_E_STATE", "not possible in this state", ""},
    Entry{Errc::no_memory, "ELISA_E_NOMEM", "the host is out of memory", ""},
    Entry{Errc::quota, "ELISA_E_QUOTA", "a quota of this VM is used up",
          "release attachments or regions, or have the host's quota raised"},
    Entry{Errc::memory, "ELISA_E_MEMORY", "the range is not plain writable memory of this VM",
          "use ordinary RAM, not a device's or a read-only mapping"},
    Entry{Errc::overlap, "ELISA_E_OVERLAP",
          "the range is in use, or VM memory reaches into ELISA's window",
          "give the VM less memory or fewer high PCI BARs"},
    Entry{Errc::pcid, "ELISA_E_PCID", "this VM's CPU has PCID enabled, which ELISA cannot allow",
          "start QEMU with `-cpu host,-pcid`"},
    Entry{Errc::mode, "ELISA_E_MODE", "the vCPU is in a mode ELISA does not support",
          "call from a 64-bit user process"},
    Entry{Errc::host, "ELISA_E_HOST", "the host's CPU or kernel cannot do this",
          "see the host's kernel log (dmesg | grep elisa)"},
    Entry{Errc::dead, "ELISA_E_DEAD", "the export or attachment is gone",
          "restart the manager, then attach again"},
    Entry{Errc::nested, "ELISA_E_NESTED", "this VM has VMX on, for VMs of its own",
          "end its VMs and unload its KVM, or start QEMU with `-cpu host,-pcid,-vmx`"},
    Entry{Errc::feature, "ELISA_E_FEATURE",
          "this VM's CPU can write traces (PEBS, Intel PT) or deliver events (CET, UINTR, FRED) in "
          "ways that ELISA cannot confine",
          "start QEMU with `-cpu host,-pcid,pmu=off,-intel-pt`"},
    Entry{Errc::idt, "ELISA_E_IDT", "this VM's interrupt descriptor table lies in ELISA's slot",
          "the guest kernel must put it elsewhere"},
    Entry{Errc::fault, "ELISA_E_FAULT", "the image faulted in the sub context", ""},
    Entry{Errc::budget, "ELISA_E_BUDGET", "the image ran too long in the sub context", ""},
    Entry{Errc::intercept, "ELISA_E_INTERCEPT",
          "the image executed an instruction that the sub context forbids", ""},
    Entry{Errc::gate, "ELISA_E_GATE", "fault in the gate context", ""},
    Entry{Errc::revoked, "ELISA_E_REVOKED", "the export was revoked during the call", ""},
    Entry{Errc::reset, "ELISA_E_RESET", "the vCPU was reset or set from outside", ""},
    Entry{Errc::interrupted, "ELISA_E_INTERRUPTED", "QEMU had to be told something during the call",
          ""},
    Entry{Errc::no_module, "", "this VM's host has no ELISA module",
          "on the host: load elisa.ko with the patched kvm-intel and restart the VM"},
    Entry{Errc::not_permitted, "", "not permitted",
          "run as root, with CAP_SYS_RAWIO and "
          "CAP_SYS_ADMIN"},
    Entry{Errc::abi_version, "", "the host's ELISA module speaks another version of the ABI",
          "install the same release on the host and in the VM"},
    Entry{Errc::timeout, "", "timed out", ""},
    Entry{Errc::busy, "", "in use by a live process", ""},
    Entry{Errc::not_hugetlb, "", "not 2 MB hugetlb memory",
          "reserve pages (echo N > /proc/sys/vm/nr_hugepages) and map them with MAP_HUGETLB or "
          "from hugetlbfs"},
    Entry{Errc::bad_image, "", "not an image for the sub context",
          "build it with elisa_add_image()"},
    Entry{Errc::inconsistent, "", "the host's ELISA module gave inconsistent answers", ""},
};

const Entry *find(int code) noexcept
{
    for (const Entry &entry : entries) {
        if (static_cast<int>(entry.code) == code) {
            return &entry;
        }
    }
    return nullptr;
}

class Category final : public std::error_category {
  public:
    [[nodiscard]] const char *name() const noexcept override { return "elisa"; }
    [[nodiscard]] std::string message(int code) const override
    {
        const Entry *entry = find(code);
        return entry != nullptr ? std::string{entry->what}
                                : "unknown ELISA error " + std::to_string(code);
    }
};

std::string with_fix(std::string message, int code)
{
    const Entry *entry = find(code);
    if (entry != nullptr && !entry->fix.empty()) {
        message += "; ";
        message += entry->fix;
    }
    return message;
}

} // namespace

const std::error_category &category() noexcept
{
    static const Category instance;
    return instance;
}

std::error_code make_error_code(Errc code) noexcept
{
    return {static_cast<int>(code), category()};
}

std::string_view abi_error_name(std::int64_t status) noexcept
{
    if (status >= 0 || status < -1000) {
        return {};
    }
    const Entry *entry = find(static_cast<int>(-status));
    return entry != nullptr ? entry->name : std::string_view{};
}

Error make_error(Errc code, std::string message)
{
    return Error{make_error_code(code), with_fix(std::move(message), static_cast<int>(code))};
}

Error errno_error(int error_number, std::string what)
{
    const std::error_code code{error_number, std::generic_category()};
    return Error{code, std::move(what) + ": " + code.message()};
}

Error abi_error(std::int64_t status, std::string what)
{
    if (status >= 0 || status < -1000) {
        return Error{make_error_code(Errc::inconsistent),
                     std::move(what) + ": the doorbell answered " + std::to_string(status) +
                         ", which means nothing"};
    }
    const int code = static_cast<int>(-status);
    std::string message = std::move(what) + ": " + category().message(code);
    if (const auto name = abi_error_name(status); !name.empty()) {
        message += " (";
        message += name;
        message += ")";
    }
    return Error{std::error_code{code, category()}, with_fix(std::move(message), code)};
}

} // namespace elisa
