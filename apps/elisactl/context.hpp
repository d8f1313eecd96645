// SPDX-License-Identifier: Apache-2.0
// What all commands share: how to answer, and where the manager is.
#pragma once

#include "elisa/error.hpp"

#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace CLI {
class App;
}

namespace elisactl {

using Json = nlohmann::ordered_json;

struct Context {
    bool json = false;
    std::string socket; // of the manager; empty: the usual place
    std::function<int()> action;

    // To standard error, and with --json to standard output, too. The exit status 1.
    int fail(const std::string &why) const;
    int fail(const elisa::Error &error) const { return fail(error.message); }
    // One line.
    static void print(const Json &json);
    // Nothing to say but that it is done.
    int done() const;
};

// Each adds its commands to the program's.
void add_host(CLI::App &app, Context &context);
void add_export(CLI::App &app, Context &context);
void add_port(CLI::App &app, Context &context);
void add_mac(CLI::App &app, Context &context);
void add_stats(CLI::App &app, Context &context);
void add_capture(CLI::App &app, Context &context);
void add_events(CLI::App &app, Context &context);
void add_reload(CLI::App &app, Context &context);
void add_doctor(CLI::App &app, Context &context);
void add_texts(CLI::App &app, Context &context); // completion, man page

} // namespace elisactl
