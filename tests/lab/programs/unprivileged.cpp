// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "entry_page.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <cstdio>
#include <grp.h>
#include <signal.h>
#include <string>
#include <sys/io.h>
#include <thread>
#include <unistd.h>

namespace probes {
namespace {

constexpr uid_t nobody = 65534;

bool drop_privileges()
{
    return ::setgroups(0, nullptr) == 0 && ::setresgid(nobody, nobody, nobody) == 0 &&
           ::setresuid(nobody, nobody, nobody) == 0;
}

} // namespace

int unprivileged(const std::string &export_name)
{
    const auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    // A process of its own, with nothing inherited: I/O permissions survive an exec, so they go
    // before.
    const std::string index = std::to_string(attachment->gate_index());
    const int status = signal_of([&] {
        ::ioperm(ELISA_PORT, 4, 0);
        if (!drop_privileges()) {
            return false;
        }
        ::execl("/proc/self/exe", "lab-probe", "unprivileged-child", index.c_str(), nullptr);
        return false;
    });
    const auto result = attachment->call(0, 7);
    const bool ok = status == 0 && result.ok() && result.value == 7;
    apps::print_result({{"probe", "unprivileged"}, {"child", status}, {"ok", ok}});
    return ok ? 0 : 1;
}

int unprivileged_child(std::uint64_t gate_index)
{
    const auto enabled = elisa::doorbell::enable();
    const bool refused = !enabled && enabled.error().code == elisa::Errc::not_permitted;
    const int rung = signal_of([] {
        elisa::doorbell::Registers regs;
        static_cast<void>(elisa::doorbell::ring(ELISA_CALL_VERSION, regs));
        return true;
    });
    const auto attached = elisa::Attachment::attach("nop");
    const bool no_attach = !attached && attached.error().code == elisa::Errc::not_permitted;

    // It can build the same page and go through the gate; it cannot know the token.
    const auto page = elisa::detail::EntryPage::get();
    if (!page) {
        return apps::fail("lab-probe", page.error());
    }
    auto *const stub =
        reinterpret_cast<elisa::detail::Stub *>(ELISA_GATE_VA + elisa::detail::stub_offset);
    bool turned_away = true;
    for (const std::uint64_t token :
         {std::uint64_t{0}, ~std::uint64_t{0}, std::uint64_t{0x1122334455667788}}) {
        const elisa::CallResult result = stub(token, 1, 1, gate_index, 0, 0);
        turned_away &= result.status == 0 && result.value == elisa::bad_token;
    }
    const bool ok = ::getuid() == nobody && refused && rung == SIGSEGV && no_attach && turned_away;
    apps::print_result({{"probe", "unprivileged_child"},
                        {"uid", ::getuid()},
                        {"ioperm_refused", refused},
                        {"doorbell_signal", rung},
                        {"attach_refused", no_attach},
                        {"message", attached ? "" : attached.error().message},
                        {"wrong_token_turned_away", turned_away},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes
