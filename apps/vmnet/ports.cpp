// SPDX-License-Identifier: Apache-2.0
#include "ports.hpp"

#include <algorithm>

namespace vmnet {
namespace {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

apps::Json about(rvs::PortId port, const std::string &label)
{
    return {{"port", number(port)}, {"label", label}};
}

std::string named(rvs::PortId port)
{
    return "port " + std::to_string(number(port));
}

std::vector<std::string> captures(const Config &config)
{
    std::vector<std::string> labels;
    for (const GuestConfig &guest : config.guests) {
        if (guest.capture) {
            labels.push_back(guest.label);
        }
    }
    return labels;
}

} // namespace

const char *text_of(rvs::Error error)
{
    switch (error) {
    case rvs::Error::none:
        return "no error";
    case rvs::Error::arg:
        return "a number is out of range";
    case rvs::Error::state:
        return "it is in use, or closed";
    case rvs::Error::full:
        return "the MAC table is full";
    }
    return "unknown";
}

Result<rvs::PortId> Ports::open(const GuestConfig &guest, std::uint64_t cookie,
                                const std::string &who)
{
    const auto refuse = [&](Errc code, const std::string &why) {
        journal_.tell(Level::debug, "port-refused", who + " was refused: " + why,
                      {{"label", guest.label}, {"reason", why}});
        return make_error(code, why);
    };
    if (config_.find(guest.label) != nullptr && count(guest.label) >= guest.ports) {
        return refuse(Errc::quota, "its " + std::to_string(guest.ports) +
                                       " port(s) are taken (raise 'ports' in its [[guest]])");
    }
    const auto port = config_.free_port(guest, switch_.ports());
    if (!port) {
        return refuse(Errc::quota, "all of the switch's ports are taken");
    }
    rvs::PortOptions options = options_of(config_, guest);
    options.cookie = cookie;
    rvs::PortStats before;
    if (const rvs::Error error = switch_.port_open(*port, options, &before);
        error != rvs::Error::none) {
        return refuse(Errc::refused, std::string{"the switch: "} + text_of(error));
    }
    settle(*port, before);
    ports_[*port] = Port{guest};
    journal_.tell(Level::info, "port-opened", named(*port) + " opened for " + who,
                  about(*port, guest.label));
    if (guest.down) {
        static_cast<void>(link(*port, false));
    }
    return *port;
}

void Ports::close(rvs::PortId port, const std::string &who)
{
    PortRecord last;
    if (read_port(switch_, port, last)) {
        last.open = false;
        closed_.insert_or_assign(port, last);
    }
    switch_.port_close(port);
    ports_.erase(port);
    if (gone_.size() + closed_.size() > most_gone) {
        forget_one();
    }
    const rvif_port_stats &frames = last.stats.frames;
    apps::Json fields = about(port, last.info.label);
    fields["sent"] = frames.tx_frames;
    fields["received"] = frames.rx_frames;
    journal_.tell(Level::info, "port-closed",
                  named(port) + " closed (" + who + "), " + std::to_string(frames.tx_frames) +
                      " frames in, " + std::to_string(frames.rx_frames) + " out",
                  std::move(fields));
}

namespace {

// Which queues a call was in is known at the close only.
void update(PortRecord &record, const rvs::PortStats &counted)
{
    const std::uint64_t inside = record.stats.inside;
    record.stats = counted;
    record.stats.inside = inside;
}

} // namespace

void Ports::settle(rvs::PortId port, const rvs::PortStats &counted)
{
    const auto found = closed_.find(port);
    if (found == closed_.end()) {
        return;
    }
    update(found->second, counted);
    gone_.push_back(found->second);
    closed_.erase(found);
}

// The oldest record; what it counted goes on in its label's.
void Ports::forget_one()
{
    const PortRecord oldest = gone_.front();
    gone_.pop_front();
    const std::string label = oldest.info.label;
    add(forgotten_[label].stats, oldest.stats);
    add(forgotten_[label].queues, oldest.queues);
    // Without a configuration each process of the direct backend has a label of its own: there
    // would be ever more. One that is in no record any more, and that nobody admits, ends.
    const auto is_its = [&](const PortRecord &record) { return label == record.info.label; };
    if (config_.find(label) == nullptr && std::ranges::none_of(records(), is_its)) {
        forgotten_.erase(label);
    }
}

void Ports::adopt(rvs::PortId id, const std::string &label)
{
    const GuestConfig *const guest = config_.find(label);
    Port &port = ports_[id];
    port.guest = guest != nullptr ? *guest : GuestConfig{.label = label};
    rvs::PortInfo info;
    port.up = !switch_.port_info(id, info) || info.link;
    // The predecessor's settings by hand are not known; those of the file are.
    std::string why = "the configuration has no [[guest]] for it";
    if (guest != nullptr) {
        // What an operator had held down by hand stays so.
        if (guest->down && port.up) {
            static_cast<void>(link(id, false));
        }
        const auto applied = apply(id, port, *guest, config_);
        if (applied) {
            return;
        }
        why = applied.error().message;
    } else if (!config_.guests.empty() && port.up) { // as reload() has it
        static_cast<void>(link(id, false));
        why += ", so it is held down";
    }
    journal_.tell(Level::warning, "port-adopted",
                  named(id) + " of '" + label + "' keeps the settings that it had: " + why,
                  about(id, label));
}

Result<void> Ports::link(rvs::PortId id, bool up)
{
    const auto found = ports_.find(id);
    if (found == ports_.end()) {
        return make_error(Errc::no_entry, named(id) + " is not open (elisactl port list)");
    }
    if (const rvs::Error error = switch_.port_link(id, up); error != rvs::Error::none) {
        return make_error(Errc::state, std::string{"the switch: "} + text_of(error));
    }
    found->second.up = up;
    journal_.tell(Level::info, up ? "port-up" : "port-down",
                  named(id) + (up ? " is up" : " is held down"),
                  about(id, found->second.guest.label));
    return {};
}

// A mirror is the number of its target's port, where somebody else may be: a capture by hand, or a
// guest that was there before the configuration had this target.
rvs::PortOptions Ports::options_of(const Config &config, const GuestConfig &guest)
{
    rvs::PortOptions options = config.options(guest);
    rvs::PortInfo there;
    if (options.mirror_to != rvs::no_port && switch_.port_info(options.mirror_to, there) &&
        there.label != guest.mirror) {
        journal_.tell(Level::warning, "mirror-left-out",
                      "'" + guest.label + "' is not mirrored: " + named(options.mirror_to) +
                          ", which is to be '" + guest.mirror + "', is in use by '" + there.label +
                          "'; read the configuration again when that has ended",
                      about(options.mirror_to, there.label));
        options.mirror_to = rvs::no_port;
    }
    return options;
}

Result<void> Ports::apply(rvs::PortId id, Port &to, const GuestConfig &guest, const Config &config)
{
    if (const rvs::Error error = switch_.port_policy(id, options_of(config, guest));
        error != rvs::Error::none) {
        if (error == rvs::Error::arg && (guest.rate_mbit != 0 || guest.storm != 0) &&
            config_.limits.clock_hz == 0) {
            return make_error(Errc::state,
                              "the switch was made without a clock: set tsc_hz in [switch], or a "
                              "rate for any guest, and start vmnet again");
        }
        return make_error(Errc::invalid, std::string{"the switch: "} + text_of(error));
    }
    to.guest = guest;
    return {};
}

Result<void> Ports::set(rvs::PortId id, std::string_view assignments,
                        const std::vector<std::string> &defaults)
{
    const auto found = ports_.find(id);
    if (found == ports_.end()) {
        return make_error(Errc::no_entry, named(id) + " is not open (elisactl port list)");
    }
    auto changed = change_guest(config_, found->second.guest, assignments, defaults);
    if (!changed) {
        return changed.error();
    }
    auto applied = apply(id, found->second, *changed, config_);
    if (applied) {
        journal_.tell(Level::info, "port-set", named(id) + " has new settings",
                      about(id, changed->label));
    }
    return applied;
}

Result<std::vector<std::string>> Ports::reload(Config config)
{
    std::vector<std::string> later;
    const auto old_captures = captures(config_);
    const auto new_captures = captures(config);
    if (old_captures.size() > new_captures.size() ||
        !std::equal(old_captures.begin(), old_captures.end(), new_captures.begin())) {
        return make_error(Errc::invalid,
                          "guests with capture = true have ports by their order: new ones "
                          "go behind the others, and to take one away restart vmnet");
    }
    // What there is since vmnet was started.
    const auto fixed = [&](bool differs, const char *key) {
        if (differs) {
            later.push_back(std::string{key} + " takes effect when vmnet is started again");
        }
    };
    fixed(config.export_name != config_.export_name, "[switch] export");
    fixed(config.limits.fdb_entries != config_.limits.fdb_entries, "[switch] fdb_entries");
    fixed(config.limits.fdb_age_ticks != config_.limits.fdb_age_ticks, "[switch] fdb_age");
    fixed(config.tsc_hz != config_.tsc_hz, "[switch] tsc_hz");
    fixed(config.capture_mib != config_.capture_mib, "[switch] capture_memory");
    fixed(config.metrics != config_.metrics, "[metrics] listen");
    config.export_name = config_.export_name;
    config.limits = config_.limits;
    config.tsc_hz = config_.tsc_hz;
    config.capture_mib = config_.capture_mib;
    config.metrics = config_.metrics;
    if (config.needs_clock() && config.limits.clock_hz == 0) {
        return make_error(Errc::state,
                          "'rate' and 'storm' need the clock, and the switch was made without: "
                          "set tsc_hz in [switch] and start vmnet again");
    }

    for (auto &[id, port] : ports_) {
        const GuestConfig *const guest = config.find(port.guest.label);
        if (guest == nullptr) {
            if (!config.guests.empty() && port.up) {
                static_cast<void>(link(id, false));
                later.push_back(named(id) + " of '" + port.guest.label +
                                "' is held down: it has no [[guest]] any more");
            }
            continue;
        }
        if (guest->mac != port.guest.mac || guest->tx_queues != port.guest.tx_queues ||
            guest->capture != port.guest.capture) {
            later.push_back("mac, tx_queues and capture of " + named(id) + " ('" + guest->label +
                            "') take effect when it is opened again");
        }
        if (auto applied = apply(id, port, *guest, config); !applied) {
            later.push_back(named(id) + " ('" + guest->label +
                            "') keeps its settings: " + applied.error().message);
        }
        if (guest->down == port.up) {
            static_cast<void>(link(id, !guest->down));
        }
    }
    config_ = std::move(config);
    std::string text =
        "configuration read again, " + std::to_string(config_.guests.size()) + " guest(s)";
    for (const std::string &one : later) {
        text += "; " + one;
    }
    journal_.tell(Level::info, "reloaded", std::move(text));
    return later;
}

const Ports::Port *Ports::find(rvs::PortId port) const
{
    const auto found = ports_.find(port);
    return found != ports_.end() ? &found->second : nullptr;
}

std::uint32_t Ports::count(std::string_view label) const
{
    return static_cast<std::uint32_t>(std::ranges::count_if(
        ports_, [&](const auto &entry) { return entry.second.guest.label == label; }));
}

std::vector<PortRecord> Ports::records() const
{
    std::vector<PortRecord> all{gone_.begin(), gone_.end()};
    for (const auto &[port, record] : closed_) {
        all.push_back(record);
        if (rvs::PortStats now; switch_.port_stats(port, now)) {
            update(all.back(), now);
        }
    }
    const std::uint64_t open = switch_.ports();
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        PortRecord record;
        if ((open >> port & 1) != 0 && read_port(switch_, rvs::PortId{port}, record)) {
            all.push_back(record);
        }
    }
    return all;
}

} // namespace vmnet
