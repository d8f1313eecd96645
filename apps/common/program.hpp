// SPDX-License-Identifier: Apache-2.0
// What the programs of apps/ have in common at their edges.
#pragma once

#include "elisa/error.hpp"

#include <atomic>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

namespace apps {

using Json = nlohmann::ordered_json;

// Image NAME.elf as installed next to this program: ../share/elisa/NAME.elf. A path stays what it
// is.
[[nodiscard]] std::filesystem::path find_image(std::string_view name_or_path);

// One line for whoever runs the program: "ELISA-RESULT {...}".
void print_result(const Json &result);

// "program: message" to stderr; returns the exit status 1.
int fail(std::string_view program, const elisa::Error &error);

// SIGINT and SIGTERM set it from now on.
[[nodiscard]] const std::atomic<bool> &stop_requested();

// SIGHUP sets it from now on; who has seen it clears it.
[[nodiscard]] std::atomic<bool> &reload_requested();

} // namespace apps
