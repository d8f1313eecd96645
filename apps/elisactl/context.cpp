// SPDX-License-Identifier: Apache-2.0
#include "context.hpp"

#include <cstdio>

namespace elisactl {

int Context::fail(const std::string &why) const
{
    std::fflush(stdout);
    std::fprintf(stderr, "elisactl: %s\n", why.c_str());
    if (json) {
        print({{"ok", false}, {"error", why}});
    }
    return 1;
}

void Context::print(const Json &value)
{
    std::puts(value.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    std::fflush(stdout);
}

int Context::done() const
{
    if (json) {
        print({{"ok", true}});
    }
    return 0;
}

} // namespace elisactl
