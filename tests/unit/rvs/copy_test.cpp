// SPDX-License-Identifier: Apache-2.0
#include "copy.hpp"
#include "world.hpp"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

TEST(RvsCopy, CopiesExactlyItsBytesAtEveryLengthAndAlignment)
{
    // Against the inaccessible page behind, at every length; and between marks.
    Memory from{4096};
    Memory to{4096};
    for (std::size_t i = 0; i < from.size(); ++i)
        from.data()[i] = static_cast<std::uint8_t>(i * 37 + i / 256);
    for (std::size_t n = 0; n < 600; ++n) {
        for (const std::size_t shift : {0u, 1u, 7u, 16u, 33u}) {
            std::memset(to.data(), 0xc5, to.size());
            const std::uint8_t *src = from.data() + from.size() - n - (n % 2 == 0 ? 0 : shift);
            std::uint8_t *dst = to.data() + 64 + shift;
            copy_bytes(dst, src, n);
            ASSERT_EQ(std::memcmp(dst, src, n), 0) << n;
            for (std::uint8_t *p = to.data(); p < to.data() + to.size(); ++p) {
                if (p < dst || p >= dst + n) {
                    ASSERT_EQ(*p, 0xc5) << n << " bytes, at " << p - dst;
                }
            }
            copy_bytes(to.data() + to.size() - n, src, n);
            ASSERT_EQ(std::memcmp(to.data() + to.size() - n, src, n), 0) << n;
        }
    }
}

} // namespace
} // namespace rvs::test
