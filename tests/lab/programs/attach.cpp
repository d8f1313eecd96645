// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <array>
#include <cstdio>

namespace probes {
namespace {

struct Name {
    const char *name;
    elisa::Errc code;
};

constexpr std::array names{
    Name{"nested", elisa::Errc::nested},       Name{"feature", elisa::Errc::feature},
    Name{"role", elisa::Errc::role},           Name{"no_entry", elisa::Errc::no_entry},
    Name{"refused", elisa::Errc::refused},     Name{"quota", elisa::Errc::quota},
    Name{"overlap", elisa::Errc::overlap},     Name{"pcid", elisa::Errc::pcid},
    Name{"mode", elisa::Errc::mode},           Name{"dead", elisa::Errc::dead},
    Name{"no_module", elisa::Errc::no_module}, Name{"busy", elisa::Errc::busy},
    Name{"timeout", elisa::Errc::timeout},     Name{"not_permitted", elisa::Errc::not_permitted},
};

std::string name_of(const std::error_code &code)
{
    for (const Name &known : names) {
        if (code == elisa::make_error_code(known.code)) {
            return known.name;
        }
    }
    return code.message();
}

} // namespace

int attach(const AttachExpectation &expected)
{
    const auto attachment = elisa::Attachment::attach(
        expected.export_name,
        {.timeout = std::chrono::milliseconds{static_cast<long>(expected.timeout * 1e3)},
         .wait_for_export = expected.wait});
    const std::string seen = attachment ? "none" : name_of(attachment.error().code);
    const bool ok = seen == expected.error;
    apps::print_result({{"probe", "attach"},
                        {"expected", expected.error},
                        {"seen", seen},
                        {"message", attachment ? "" : attachment.error().message},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
