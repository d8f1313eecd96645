// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace nop {

struct ManagerOptions {
    std::string image = "nop";
    std::string export_name = "nop";
    bool exit_when_idle = false;
    // Labels to admit; empty: everybody.
    std::vector<std::string> admit;
};

int manage(const ManagerOptions &options);

} // namespace nop
