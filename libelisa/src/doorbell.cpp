// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/io.h>

namespace elisa::doorbell {
namespace {

// ioperm is a property of a thread (copied when it makes another one).
thread_local bool enabled_here = false;

bool name_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

} // namespace

Result<void> enable()
{
    if (enabled_here) {
        return {};
    }
    if (::ioperm(ELISA_PORT, 4, 1) != 0) {
        const int error = errno;
        if (error == EPERM) {
            return make_error(Errc::not_permitted,
                              "ELISA's I/O port needs CAP_SYS_RAWIO, which this process has not");
        }
        if (error == ENOSYS) {
            return Error{make_error_code(Errc::not_permitted),
                         "this guest kernel has no ioperm(); build it with "
                         "CONFIG_X86_IOPL_IOPERM=y"};
        }
        return errno_error(error, "ioperm for ELISA's I/O port");
    }
    enabled_here = true;
    return {};
}

Result<Version> probe()
{
    if (auto ready = enable(); !ready) {
        return std::move(ready).error();
    }
    Registers regs;
    const std::int64_t status = ring(ELISA_CALL_VERSION, regs);
    if (status == nobody_answers || (status == 0 && regs.rsi != ELISA_MAGIC)) {
        return make_error(Errc::no_module, "this VM's host has no ELISA module (nobody answers at "
                                           "its I/O port)");
    }
    if (status != 0) {
        return abi_error(status, "asking the ELISA module for its version");
    }
    if (regs.rbx != ELISA_ABI_VERSION) {
        return make_error(Errc::abi_version, "the host's ELISA module speaks ABI version " +
                                                 std::to_string(regs.rbx) + ", this program " +
                                                 std::to_string(ELISA_ABI_VERSION));
    }
    if (regs.rdi > ELISA_ROLE_MANAGER) {
        return make_error(Errc::inconsistent, "the ELISA module reports role " +
                                                  std::to_string(regs.rdi) +
                                                  ", which does not exist");
    }
    return Version{regs.rbx, static_cast<elisa_role>(regs.rdi)};
}

Result<Registers> call(elisa_call number, const Registers &arguments, std::string_view what)
{
    if (auto ready = enable(); !ready) {
        return std::move(ready).error();
    }
    Registers regs = arguments;
    const std::int64_t status = ring(number, regs);
    if (status == nobody_answers) {
        return make_error(Errc::no_module,
                          std::string{what} + ": this VM's host has no ELISA module any more");
    }
    if (status != 0) {
        return abi_error(status, std::string{what});
    }
    return regs;
}

Result<PackedName> pack_name(std::string_view name)
{
    if (name.empty() || name.size() >= ELISA_NAME_MAX ||
        !std::all_of(name.begin(), name.end(), name_character)) {
        return make_error(Errc::invalid, "'" + std::string{name.substr(0, 64)} +
                                             "' is no name: 1 to 31 letters, digits, '-', '_' or "
                                             "'.' are");
    }
    PackedName packed{};
    for (std::size_t i = 0; i < name.size(); ++i) {
        packed[i / 8] |= std::uint64_t{static_cast<unsigned char>(name[i])} << (i % 8 * 8);
    }
    return packed;
}

std::string unpack_name(const PackedName &packed)
{
    std::string name;
    for (std::size_t i = 0; i + 1 < ELISA_NAME_MAX; ++i) {
        const auto c = static_cast<char>(packed[i / 8] >> (i % 8 * 8) & 0xff);
        if (c == '\0') {
            break;
        }
        name += c;
    }
    return name;
}

} // namespace elisa::doorbell
