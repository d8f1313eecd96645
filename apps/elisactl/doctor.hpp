// SPDX-License-Identifier: Apache-2.0
// What usually goes wrong, and what to do about it. One function for each place to look at.
#pragma once

#include "context.hpp"

#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace elisactl {

enum class Status { ok, note, problem };

struct Finding {
    std::string check; // for programs: does not change
    Status status;
    std::string text;
    std::string fix{}; // empty: nothing is to be done
};
using Findings = std::vector<Finding>;

// A machine's files, or a copy of them in a folder.
class Machine {
  public:
    explicit Machine(std::filesystem::path root) : root_{std::move(root)} {}

    [[nodiscard]] std::filesystem::path path(const std::string &name) const;
    [[nodiscard]] std::string text(const std::string &name) const; // "" if there is none
    [[nodiscard]] bool exists(const std::string &name) const;
    [[nodiscard]] bool is_this_one() const { return root_ == "/"; }
    [[nodiscard]] std::string release() const;
    [[nodiscard]] std::set<std::string> cpu_flags() const;
    [[nodiscard]] bool has_module(const std::string &name) const;

  private:
    std::filesystem::path root_;
};

// Where VMs run.
void look_at_host(const Machine &machine, Findings &findings);
// Where a manager or a driver runs. driver: the plugin's file, or empty.
void look_at_vm(const Machine &machine, const std::string &driver, Findings &findings);
// What /dev/elisa says.
void look_at_module(Findings &findings);
// A manager, its ports and its configuration. config: the file, or empty: the manager's.
void look_at_switch(const Context &context, const std::string &config, Findings &findings);

} // namespace elisactl
