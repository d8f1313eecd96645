// SPDX-License-Identifier: Apache-2.0
#include "control_call.hpp"
#include "elisa/pinned.hpp"
#include "fake_switch.hpp"

#include <gtest/gtest.h>
#include <sched.h>
#include <set>

namespace rvif::test {
namespace {

int cpus_allowed()
{
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : -1;
}

TEST(ControlCall, OneThatIsCutShortIsDoneAgain)
{
    FakeSwitch fake;
    fake.answers[RVIF_OP_TX_SETUP] = {cut, cut, {.status = 0, .value = 7}};
    const CallResult result = control_call(fake, RVIF_OP_TX_SETUP);
    EXPECT_EQ(result.status, 0);
    EXPECT_EQ(result.value, 7);
    EXPECT_EQ(fake.calls.size(), 3u);
}

// What it had claimed is its vCPU's.
TEST(ControlCall, ItIsDoneAgainFromTheSameCpu)
{
    FakeSwitch fake;
    std::set<int> cpus;
    fake.at_each_call = [&] {
        EXPECT_EQ(cpus_allowed(), 1);
        cpus.insert(::sched_getcpu());
    };
    fake.answers[RVIF_OP_RSS] = {cut, cut, cut};
    fake.answers[RVIF_OP_STOP] = {cut, busy, cut};
    const int before = cpus_allowed();
    EXPECT_TRUE(control_call(fake, RVIF_OP_RSS).ok());
    EXPECT_EQ(cpus.size(), 1u);
    cpus.clear();
    EXPECT_TRUE(stop_port(fake).quiet);
    EXPECT_EQ(cpus.size(), 1u);
    EXPECT_EQ(fake.calls.size(), 8u);
    EXPECT_EQ(cpus_allowed(), before);
}

TEST(ControlCall, AStartThatWasThroughWhenItWasCutShortIsOne)
{
    const CallResult started{.status = 0, .value = -RVIF_E_STATE};
    FakeSwitch fake;
    fake.answers[RVIF_OP_START] = {cut, started};
    EXPECT_TRUE(control_call(fake, RVIF_OP_START).ok());
    fake.answers[RVIF_OP_START] = {started};
    EXPECT_EQ(control_call(fake, RVIF_OP_START).value, -RVIF_E_STATE) << "it was not ours";
    fake.answers[RVIF_OP_SET_MAC] = {cut, started};
    EXPECT_EQ(control_call(fake, RVIF_OP_SET_MAC).value, -RVIF_E_STATE);
}

TEST(ControlCall, RefusalsAreNotRepeated)
{
    FakeSwitch fake;
    fake.answers[RVIF_OP_RX_SETUP] = {busy};
    EXPECT_EQ(control_call(fake, RVIF_OP_RX_SETUP).value, -RVIF_E_BUSY);
    EXPECT_EQ(fake.calls.size(), 1u);
}

TEST(ControlCall, ItHasAnEnd)
{
    FakeSwitch fake;
    fake.answers[RVIF_OP_RSS].assign(1000, cut);
    EXPECT_EQ(control_call(fake, RVIF_OP_RSS).status, cut.status);
    EXPECT_LT(fake.calls.size(), 100u);
}

TEST(ControlCall, NothingIsAskedOfASwitchThatHasGone)
{
    FakeSwitch fake;
    fake.is_alive = false;
    fake.answers[RVIF_OP_RSS].assign(10, cut);
    EXPECT_EQ(control_call(fake, RVIF_OP_RSS).status, cut.status);
    EXPECT_EQ(fake.calls.size(), 1u);
}

TEST(StopPort, OnlyAnAnswerOrTheSwitchsEndMeansThatItIsQuiet)
{
    FakeSwitch fake;
    fake.answers[RVIF_OP_STOP] = {cut, busy, cut, busy};
    EXPECT_TRUE(stop_port(fake).quiet);
    EXPECT_EQ(fake.calls.size(), 5u);

    fake.answers[RVIF_OP_STOP] = {cut, {.status = 0, .value = -RVIF_E_STATE}};
    const Stopped closed = stop_port(fake); // by the manager
    EXPECT_TRUE(closed.quiet);
    EXPECT_EQ(closed.last.value, -RVIF_E_STATE);

    fake.is_alive = false;
    fake.answers[RVIF_OP_STOP] = {cut};
    EXPECT_TRUE(stop_port(fake).quiet);
}

TEST(StopPort, WithoutAnAnswerItIsNotQuiet)
{
    for (const CallResult always : {cut, busy}) {
        FakeSwitch fake;
        fake.answers[RVIF_OP_STOP].assign(100'000, always);
        const Stopped stopped = stop_port(fake);
        EXPECT_FALSE(stopped.quiet);
        EXPECT_EQ(stopped.last.status, always.status);
        EXPECT_EQ(stopped.last.value, always.value);
    }
}

// A thread that may run anywhere was moved after its call had been cut short.
TEST(StopPort, WhatAnotherCpuHasClaimedIsTakenBackThere)
{
    const auto cpus = elisa::allowed_cpus();
    ASSERT_TRUE(cpus) << cpus.error().message;
    const int before = cpus_allowed();
    int owners = 0;
    for (const int cpu : *cpus) {
        if (!elisa::Pinned::to(cpu)) {
            continue; // offline
        }
        ++owners;
        FakeSwitch fake;
        fake.owner = cpu;
        EXPECT_EQ(call_from_each(*cpus, fake, RVIF_OP_RECOVER).value, 0);
        EXPECT_EQ(cpus_allowed(), before);
        EXPECT_TRUE(stop_port(fake).quiet);
    }
    EXPECT_EQ(owners, before);
}

} // namespace
} // namespace rvif::test
