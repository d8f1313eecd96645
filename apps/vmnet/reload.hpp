// SPDX-License-Identifier: Apache-2.0
// Reads the configuration again while the switch runs, for SIGHUP as for elisactl.
#pragma once

#include "config.hpp"
#include "journal.hpp"
#include "ports.hpp"

#include <string>
#include <vector>

namespace vmnet {

class Reloader {
  public:
    Reloader(ConfigSource source, Ports &ports, Journal &journal)
        : source_{std::move(source)}, ports_{ports}, journal_{journal}
    {
    }

    // What takes effect later. The journal has what came of it; a mistake changes nothing.
    elisa::Result<std::vector<std::string>> reload();

  private:
    ConfigSource source_;
    Ports &ports_;
    Journal &journal_;
};

// What the configuration says about log lines.
void configure(Journal &journal, const Config &config);

} // namespace vmnet
