// SPDX-License-Identifier: Apache-2.0
#include "check.hpp"

#include <cstdio>
#include <cstdlib>
#include <rte_ethdev.h>

namespace direct {

void wrong(const char *what, int line, long long wanted, long long seen)
{
    std::fprintf(stderr, "FAILED %s, line %d: %s is %lld, wanted %lld\n", current, line, what, seen,
                 wanted);
    std::exit(1);
}

std::uint64_t xstat(std::uint16_t port, const char *name)
{
    std::uint64_t id = 0;
    std::uint64_t value = 0;
    CHECK_EQ(0, rte_eth_xstats_get_id_by_name(port, name, &id));
    CHECK_EQ(1, rte_eth_xstats_get_by_id(port, &id, &value, 1));
    return value;
}

} // namespace direct
