// SPDX-License-Identifier: Apache-2.0
#include "elisa/error.hpp"

#include <gtest/gtest.h>
#include <memory>

namespace {

using elisa::Errc;
using elisa::Error;
using elisa::Result;

TEST(Result, HoldsAValueOrAnError)
{
    const Result<int> good{7};
    ASSERT_TRUE(good);
    EXPECT_EQ(*good, 7);

    const Result<int> bad{elisa::make_error(Errc::timeout, "late")};
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().code, Errc::timeout);
    EXPECT_EQ(bad.error().message, "late");
    EXPECT_EQ(bad.value_or(3), 3);
}

TEST(Result, MovesWhatItHolds)
{
    Result<std::unique_ptr<int>> made{std::make_unique<int>(5)};
    const std::unique_ptr<int> taken = *std::move(made);
    EXPECT_EQ(*taken, 5);
}

TEST(Result, OfNothingIsGoodUnlessSaidOtherwise)
{
    EXPECT_TRUE(Result<void>{});
    EXPECT_FALSE(Result<void>{elisa::errno_error(ENOENT, "file")});
}

TEST(Result, ChainsUntilSomethingFails)
{
    const auto half = [](int n) -> Result<int> {
        if (n % 2 != 0) {
            return elisa::make_error(Errc::invalid, "odd");
        }
        return n / 2;
    };
    EXPECT_EQ(Result<int>{8}.and_then(half).and_then(half).value(), 2);
    EXPECT_EQ(Result<int>{6}.and_then(half).and_then(half).error().message, "odd");
}

TEST(Error, OfTheAbiNamesItselfAndTheRemedy)
{
    const Error pcid = elisa::abi_error(-ELISA_E_PCID, "arming vCPU 0");
    EXPECT_EQ(pcid.code, Errc::pcid);
    EXPECT_NE(pcid.message.find("arming vCPU 0"), std::string::npos);
    EXPECT_NE(pcid.message.find("ELISA_E_PCID"), std::string::npos);
    EXPECT_NE(pcid.message.find("-cpu host,-pcid"), std::string::npos);
}

TEST(Error, EveryAbiErrorHasANameAndAnExplanation)
{
    for (int code = 1; code <= ELISA_E_RESET; ++code) {
        if (code > ELISA_E_DEAD && code < ELISA_E_FAULT) {
            continue;
        }
        EXPECT_TRUE(elisa::abi_error_name(-code).starts_with("ELISA_E_")) << code;
        EXPECT_EQ(elisa::category().message(code).find("unknown"), std::string::npos) << code;
    }
}

TEST(Error, AnswersThatMeanNothingAreSaidToBe)
{
    EXPECT_EQ(elisa::abi_error(5, "x").code, Errc::inconsistent);
    EXPECT_EQ(elisa::abi_error(std::numeric_limits<std::int64_t>::min(), "x").code,
              Errc::inconsistent);
    EXPECT_EQ(elisa::abi_error_name(-999), "");
    EXPECT_EQ(elisa::abi_error_name(0), "");
}

} // namespace
