// SPDX-License-Identifier: Apache-2.0
#include "statistics.hpp"

#include "config.hpp"
#include "rvs/names.h"

#include <fmt/format.h>

namespace vmnet {
namespace {

apps::Json drops_of(const rvs::PortStats &stats)
{
    auto drops = apps::Json::object();
    for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
        if (stats.frames.drops[reason] != 0) {
            drops[rvif_drop_name(reason)] = stats.frames.drops[reason];
        }
    }
    return drops;
}

apps::Json to_json(const QueueStats &queues)
{
    auto out = apps::Json::array();
    for (const auto &[queue, stats] : queues) {
        out.push_back({{"queue", queue},
                       {"tx_frames", stats.frames.tx_frames},
                       {"tx_bytes", stats.frames.tx_bytes},
                       {"crossings", stats.frames.crossings},
                       {"drops", drops_of(stats)}});
    }
    return out;
}

} // namespace

bool read_port(const rvs::Switch &rvs_switch, rvs::PortId port, PortRecord &record)
{
    PortRecord now;
    now.open = true;
    if (!rvs_switch.port_info(port, now.info) || !rvs_switch.port_stats(port, now.stats)) {
        return false;
    }
    for (std::uint32_t queue = 0; queue < RVIF_MAX_QUEUES; ++queue) {
        rvs::PortStats sent;
        if (rvs_switch.queue_stats(port, queue, sent) && sent.frames.crossings != 0) {
            now.queues.emplace(queue, sent);
        }
    }
    now.info.label[sizeof(now.info.label) - 1] = '\0';
    record = now;
    return true;
}

void add(rvs::PortStats &to, const rvs::PortStats &more)
{
    to.frames.tx_frames += more.frames.tx_frames;
    to.frames.tx_bytes += more.frames.tx_bytes;
    to.frames.rx_frames += more.frames.rx_frames;
    to.frames.rx_bytes += more.frames.rx_bytes;
    to.frames.crossings += more.frames.crossings;
    to.flooded += more.flooded;
    to.copies += more.copies;
    to.cuts += more.cuts;
    to.timed_frames += more.timed_frames;
    to.timed_cycles += more.timed_cycles;
    to.inside += more.inside;
    for (std::size_t i = 0; i < RVIF_DROP_REASONS; ++i) {
        to.frames.drops[i] += more.frames.drops[i];
    }
}

void add(QueueStats &to, const QueueStats &more)
{
    for (const auto &[queue, stats] : more) {
        add(to[queue], stats);
    }
}

apps::Json to_json(const std::vector<PortRecord> &ports)
{
    auto out = apps::Json::array();
    for (const PortRecord &port : ports) {
        const rvif_port_stats &frames = port.stats.frames;
        out.push_back({{"port", static_cast<std::uint32_t>(port.info.id)},
                       {"label", port.info.label},
                       {"mac", format_mac(port.info.mac)},
                       {"open", port.open},
                       {"tx_frames", frames.tx_frames},
                       {"tx_bytes", frames.tx_bytes},
                       {"rx_frames", frames.rx_frames},
                       {"rx_bytes", frames.rx_bytes},
                       {"copies", port.stats.copies},
                       {"flooded", port.stats.flooded},
                       {"inside", port.stats.inside},
                       {"crossings", frames.crossings},
                       {"timed_frames", port.stats.timed_frames},
                       {"timed_cycles", port.stats.timed_cycles},
                       {"drops", drops_of(port.stats)},
                       {"by_tx_queue", to_json(port.queues)}});
    }
    return out;
}

std::string to_table(const std::vector<PortRecord> &ports)
{
    std::string out = fmt::format("{:>4} {:16} {:17} {:>12} {:>12} {:>12}  {}\n", "PORT", "LABEL",
                                  "MAC", "SENT", "RECEIVED", "CROSSINGS", "DROPS");
    for (const PortRecord &port : ports) {
        const rvif_port_stats &frames = port.stats.frames;
        std::string drops;
        for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
            if (frames.drops[reason] != 0) {
                drops += fmt::format("{}{}={}", drops.empty() ? "" : " ", rvif_drop_name(reason),
                                     frames.drops[reason]);
            }
        }
        out += fmt::format("{:>4} {:16} {:17} {:>12} {:>12} {:>12}  {}{}\n",
                           static_cast<std::uint32_t>(port.info.id), port.info.label,
                           port.info.mac != 0 ? format_mac(port.info.mac) : "-", frames.tx_frames,
                           frames.rx_frames, frames.crossings, drops.empty() ? "none" : drops,
                           port.open ? "" : "  (gone)");
    }
    return out;
}

} // namespace vmnet
