// SPDX-License-Identifier: Apache-2.0
#include "summary.hpp"

#include <fmt/format.h>
#include <rte_telemetry.h>

namespace uplink {
namespace {

const Traffic *published = nullptr; // telemetry's callbacks have no argument of their own

int answer(const char *, const char *, rte_tel_data *out)
{
    rte_tel_data_start_dict(out);
    constexpr std::array<const char *, 2> prefixes{"outward_", "inward_"};
    for (std::size_t i = 0; i < prefixes.size(); ++i) {
        const Counters &counters = published->directions[i];
        const auto add = [&](std::string_view what, const Counter &counter) {
            rte_tel_data_add_dict_u64(out, (prefixes[i] + std::string{what}).c_str(),
                                      counter.get());
        };
        add("received", counters.received);
        add("received_bytes", counters.received_bytes);
        add("sent", counters.sent);
        add("sent_bytes", counters.sent_bytes);
        add("overrun", counters.overrun);
        for (std::size_t why = 0; why < drop_names.size(); ++why) {
            add(std::string{"drop_"} + std::string{drop_names[why]}, counters.drops[why]);
        }
    }
    return 0;
}

Json direction(const Counters &counters, const std::string &from, const std::string &to)
{
    Json drops = Json::object();
    for (std::size_t why = 0; why < drop_names.size(); ++why) {
        if (const std::uint64_t n = counters.drops[why].get(); n != 0) {
            drops[std::string{drop_names[why]}] = n;
        }
    }
    return {{"from", from},
            {"to", to},
            {"received", counters.received.get()},
            {"received_bytes", counters.received_bytes.get()},
            {"sent", counters.sent.get()},
            {"sent_bytes", counters.sent_bytes.get()},
            {"drops", std::move(drops)},
            {"overrun", counters.overrun.get()}};
}

} // namespace

Json to_json(const Traffic &traffic, const Names &names)
{
    return {{"directions",
             Json::array({direction(traffic.directions[outward], names.rvif, names.other),
                          direction(traffic.directions[inward], names.other, names.rvif)})}};
}

std::string to_table(const Json &summary)
{
    std::string text = fmt::format("{:<20} {:<20} {:>12} {:>15} {:>12} {:>8}  {}\n", "from", "to",
                                   "received", "bytes", "sent", "overrun", "drops");
    for (const Json &one : summary["directions"]) {
        std::string drops;
        for (const auto &[why, count] : one["drops"].items()) {
            drops +=
                fmt::format("{}{} {}", drops.empty() ? "" : ", ", why, count.get<std::uint64_t>());
        }
        text += fmt::format(
            "{:<20} {:<20} {:>12} {:>15} {:>12} {:>8}  {}\n", one["from"].get<std::string>(),
            one["to"].get<std::string>(), one["received"].get<std::uint64_t>(),
            one["received_bytes"].get<std::uint64_t>(), one["sent"].get<std::uint64_t>(),
            one["overrun"].get<std::uint64_t>(), drops.empty() ? "none" : drops);
    }
    return text;
}

void publish(const Traffic &traffic)
{
    published = &traffic;
    rte_telemetry_register_cmd(
        "/uplink/traffic", answer,
        "Frames from the switch (outward) and to it (inward). Takes nothing");
}

} // namespace uplink
