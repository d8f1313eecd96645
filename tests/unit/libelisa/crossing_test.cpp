// SPDX-License-Identifier: Apache-2.0
// The stub, run for real, with the VMFUNC replaced by a NOP and what lies behind it by an imitation
// of how contexts come back at their worst (crossing.S).
#include "elisa/guest.hpp"
#include "entry_page.hpp"

#include <array>
#include <cstring>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>
#include <vector>

extern "C" {
extern std::uint64_t fake_landing;
void fake_return();
void fake_abort();
void careful_call(const std::uint64_t in[7], std::uint64_t out[9]);
}

namespace {

class Crossing : public testing::Test {
  protected:
    static void SetUpTestSuite()
    {
        void *const wanted = reinterpret_cast<void *>(ELISA_GATE_VA);
        ASSERT_EQ(::mmap(wanted, elisa::page_size, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
                  wanted);
        const std::span<std::byte, elisa::page_size> page{static_cast<std::byte *>(wanted),
                                                          elisa::page_size};
        elisa::detail::lay_stub(page, elisa::detail::rsp_slot_offset().value());
        fake_landing = ELISA_GATE_VA + ELISA_LANDING_OFF;
        constexpr std::array<unsigned char, 3> nop{0x0f, 0x1f, 0x00};
        std::memcpy(page.data() + ELISA_ENTRY_OFF - nop.size(), nop.data(), nop.size());
    }
    static void TearDownTestSuite()
    {
        ::munmap(reinterpret_cast<void *>(ELISA_GATE_VA), elisa::page_size);
    }

    // movabs $there, %r11; jmp *%r11
    static void goes_to(void (*there)())
    {
        void *const wanted = reinterpret_cast<void *>(ELISA_GATE_VA);
        ASSERT_EQ(::mprotect(wanted, elisa::page_size, PROT_READ | PROT_WRITE), 0);
        std::array<unsigned char, 13> code{0x49, 0xbb, 0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0xff, 0xe3};
        std::memcpy(code.data() + 2, &there, sizeof(there));
        std::memcpy(static_cast<std::byte *>(wanted) + ELISA_ENTRY_OFF, code.data(), code.size());
        ASSERT_EQ(::mprotect(wanted, elisa::page_size, PROT_READ | PROT_EXEC), 0);
    }

    // Kept in step with fake_return.
    static std::uint64_t sum(std::uint64_t token, std::uint64_t a0, std::uint64_t a1,
                             std::uint64_t gate, std::uint64_t a2, std::uint64_t a3)
    {
        return a0 + 2 * a1 + 4 * a2 + 8 * a3 + (gate << 32) + (token << 40);
    }

    static elisa::detail::Stub *stub()
    {
        return reinterpret_cast<elisa::detail::Stub *>(ELISA_GATE_VA + elisa::detail::stub_offset);
    }

    static std::array<std::uint64_t, 9> call_carefully()
    {
        const std::uint64_t in[7]{3, 5, 7, 2, 11, 13, reinterpret_cast<std::uint64_t>(stub())};
        std::array<std::uint64_t, 9> out{};
        careful_call(in, out.data());
        return out;
    }

    static void expect_kept(const std::array<std::uint64_t, 9> &out)
    {
        EXPECT_EQ(out[2], 0xbu) << "rbx";
        EXPECT_EQ(out[3], 0xbbu) << "rbp";
        for (std::uint64_t i = 12; i <= 15; ++i) {
            EXPECT_EQ(out[i - 8], i) << "r" << i;
        }
        EXPECT_EQ(out[8] & 0x400, 0u) << "DF";
    }
};

TEST_F(Crossing, ArgumentsAndResultArriveInTheRegistersOfTheAbi)
{
    goes_to(fake_return);
    const auto out = call_carefully();
    EXPECT_EQ(out[0], 0u);
    EXPECT_EQ(out[1], sum(3, 5, 7, 2, 11, 13));
}

TEST_F(Crossing, AnImageThatBreaksTheAbiDoesNotBreakItsCaller)
{
    goes_to(fake_return);
    expect_kept(call_carefully());
}

TEST_F(Crossing, AnAbortIsAnErrorAndNothingElse)
{
    goes_to(fake_abort);
    const auto out = call_carefully();
    EXPECT_EQ(static_cast<std::int64_t>(out[0]), -ELISA_E_FAULT);
    EXPECT_EQ(out[1], 0u);
    expect_kept(out);
}

TEST_F(Crossing, ResultsAreReadableFromCpp)
{
    goes_to(fake_return);
    const elisa::CallResult good = stub()(1, 2, 3, 4, 5, 6);
    EXPECT_TRUE(good.ok());
    EXPECT_EQ(static_cast<std::uint64_t>(good.value), sum(1, 2, 3, 4, 5, 6));
    goes_to(fake_abort);
    const elisa::CallResult bad = stub()(1, 2, 3, 4, 5, 6);
    EXPECT_FALSE(bad.ok());
    EXPECT_EQ(bad.status, -ELISA_E_FAULT);
}

TEST_F(Crossing, ThreadsDoNotShareTheirWayHome)
{
    goes_to(fake_return);
    std::vector<int> wrong(4);
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < wrong.size(); ++t) {
            threads.emplace_back([&wrong, t] {
                for (std::uint64_t i = 0; i < 200'000; ++i) {
                    const auto result = stub()(0, t, i, 0, 0, 0);
                    wrong[t] += static_cast<std::uint64_t>(result.value) != t + 2 * i ? 1 : 0;
                }
            });
        }
    }
    EXPECT_EQ(wrong, (std::vector<int>{0, 0, 0, 0}));
}

} // namespace
