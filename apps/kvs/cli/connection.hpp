// SPDX-License-Identifier: Apache-2.0
// How the commands that use the store get at it.
#pragma once

#include "kvs/client.hpp"

#include <CLI/CLI.hpp>
#include <string>

namespace kvs::cli {

struct Connection {
    std::string export_name = KVS_EXPORT_NAME;
    std::string socket;
    std::string label = "local";
    std::uint64_t instance = 0;
    double timeout = 30;

    void add_to(CLI::App &command);
    [[nodiscard]] elisa::Result<Client> open() const;
};

// Each adds its command to the program; what it returns is the exit status.
void add_manager(CLI::App &app, int &status);
void add_access(CLI::App &app, int &status);
void add_exercise(CLI::App &app, int &status);
void add_load(CLI::App &app, int &status);
void add_memcached(CLI::App &app, int &status);

} // namespace kvs::cli
