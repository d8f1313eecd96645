// SPDX-License-Identifier: Apache-2.0
// The switch's ports as a manager has them: who is at each, what it may do now, what it counted.
// Both backends open, change and close ports here.
#pragma once

#include "config.hpp"
#include "journal.hpp"
#include "rvs/switch.hpp"
#include "statistics.hpp"

#include <deque>
#include <map>
#include <string>
#include <vector>

namespace vmnet {

class Ports {
  public:
    struct Port {
        GuestConfig guest; // what it runs with
        bool up = true;    // not held down
    };

    Ports(rvs::Switch &rvs_switch, Config config, Journal &journal)
        : switch_{rvs_switch}, config_{std::move(config)}, journal_{journal}
    {
    }

    // A port for a guest of the configuration, or a copy of one. who: for the journal.
    elisa::Result<rvs::PortId> open(const GuestConfig &guest, std::uint64_t cookie,
                                    const std::string &who);
    // Remembers its counters: to its end, and until it is opened again what calls that were under
    // way count afterwards.
    void close(rvs::PortId port, const std::string &who);
    // A closed port was opened, or is about to be; this is what it had counted by then.
    void settle(rvs::PortId port, const rvs::PortStats &counted);
    // It was open before this process was there, and belongs to `label`.
    void adopt(rvs::PortId port, const std::string &label);

    // Holds a port down, or no more; see rvs::Switch::port_link().
    elisa::Result<void> link(rvs::PortId port, bool up);
    // Other settings until the port is closed or the configuration read again: see change_guest().
    elisa::Result<void> set(rvs::PortId port, std::string_view assignments,
                            const std::vector<std::string> &defaults);
    // Another configuration. What cannot take effect before the next start is said in the answer.
    // On an error all stays as it was.
    elisa::Result<std::vector<std::string>> reload(Config config);

    [[nodiscard]] const Config &config() const { return config_; }
    // nullptr: no port of this table.
    [[nodiscard]] const Port *find(rvs::PortId port) const;
    [[nodiscard]] std::uint32_t count(std::string_view label) const;
    // Ports that were, the last ones, then those that are.
    [[nodiscard]] std::vector<PortRecord> records() const;
    struct Counted {
        rvs::PortStats stats{};
        QueueStats queues;
    };
    // What ports counted that were before those of the records, by label.
    [[nodiscard]] const std::map<std::string, Counted> &forgotten() const { return forgotten_; }

    static constexpr std::size_t most_gone = 1000;

  private:
    void forget_one();
    rvs::PortOptions options_of(const Config &config, const GuestConfig &guest);
    elisa::Result<void> apply(rvs::PortId port, Port &to, const GuestConfig &guest,
                              const Config &config);

    rvs::Switch &switch_;
    Config config_;
    Journal &journal_;
    std::map<rvs::PortId, Port> ports_;
    std::deque<PortRecord> gone_;
    std::map<rvs::PortId, PortRecord> closed_; // not opened again yet; with gone_ at most most_gone
    std::map<std::string, Counted> forgotten_;
};

// What the switch answered, for people.
[[nodiscard]] const char *text_of(rvs::Error error);
[[nodiscard]] constexpr std::uint32_t number(rvs::PortId port)
{
    return static_cast<std::uint32_t>(port);
}

} // namespace vmnet
