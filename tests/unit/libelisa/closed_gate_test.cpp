// SPDX-License-Identifier: Apache-2.0
// Without an attachment VMFUNC is #UD: on any machine, this one included.
#include "closed_gate.hpp"
#include "elisa/guest.hpp"
#include "entry_page.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

extern "C" void careful_call(const std::uint64_t in[7], std::uint64_t out[9]);

namespace {

const auto stub =
    reinterpret_cast<elisa::detail::Stub *>(ELISA_GATE_VA + elisa::detail::stub_offset);

TEST(ClosedGate, ACallIsAnErrorNotASignal)
{
    const auto page = elisa::detail::EntryPage::get();
    ASSERT_TRUE(page);
    for (int i = 0; i < 3; ++i) {
        const elisa::CallResult result = stub(1, 2, 3, 4, 5, 6);
        EXPECT_EQ(result.status, -ELISA_E_DEAD);
        EXPECT_EQ(result.value, 0);
    }
}

TEST(ClosedGate, TheCallersRegistersAreKept)
{
    const auto page = elisa::detail::EntryPage::get();
    ASSERT_TRUE(page);
    const std::uint64_t in[7]{1, 2, 3, 4, 5, 6, reinterpret_cast<std::uint64_t>(stub)};
    std::uint64_t out[9]{};
    careful_call(in, out);
    EXPECT_EQ(out[2], 0xbu);
    EXPECT_EQ(out[3], 0xbbu);
    EXPECT_EQ(out[7], 15u);
}

TEST(ClosedGate, SigillElsewhereStillKills)
{
    const pid_t child = ::fork();
    if (child == 0) {
        const auto page = elisa::detail::EntryPage::get();
        ::signal(SIGALRM, SIG_DFL);
        ::alarm(10); // not for ever, should it loop
        __asm__ volatile("ud2");
        ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_EQ(WTERMSIG(status), SIGILL);
}

volatile int seen;

void skip_ud2(int, siginfo_t *, void *context)
{
    seen = seen + 1;
    static_cast<ucontext_t *>(context)->uc_mcontext.gregs[REG_RIP] += 2;
}

TEST(ClosedGate, AnEarlierHandlerGetsWhatIsItsOwnAndIsPutBack)
{
    struct sigaction theirs = {};
    struct sigaction before = {};
    theirs.sa_sigaction = skip_ud2;
    theirs.sa_flags = SA_SIGINFO;
    ASSERT_EQ(::sigaction(SIGILL, &theirs, &before), 0);
    seen = 0;
    {
        const auto page = elisa::detail::EntryPage::get();
        ASSERT_TRUE(page);
        __asm__ volatile("ud2");
        EXPECT_EQ(seen, 1);
        EXPECT_EQ(stub(1, 2, 3, 4, 5, 6).status, -ELISA_E_DEAD);
        EXPECT_EQ(seen, 1);
    }
    struct sigaction now = {};
    ASSERT_EQ(::sigaction(SIGILL, &before, &now), 0);
    EXPECT_EQ(now.sa_sigaction, skip_ud2);
}

} // namespace
