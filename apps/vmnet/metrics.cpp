// SPDX-License-Identifier: Apache-2.0
#include "metrics.hpp"

#include "rvs/names.h"

#include <algorithm>
#include <fmt/format.h>
#include <functional>
#include <iterator>
#include <map>
#include <poll.h>

namespace vmnet {
namespace {

constexpr std::size_t longest_head = 8192;

// As the format wants label values.
std::string escaped(const char *text)
{
    std::string out;
    for (; *text != '\0'; ++text) {
        const bool special = *text == '\\' || *text == '"';
        out += special ? "\\" : "";
        out += *text == '\n' ? ' ' : *text;
    }
    return out;
}

// Counters of a port that was closed go on in those of its label: a counter never goes back.
struct Sum {
    Ports::Counted counted;
    std::uint32_t open = 0;
};

} // namespace

std::string prometheus_text(const std::string &backend, const Ports &ports, const Capture &capture)
{
    std::map<std::string, Sum> sums;
    for (const auto &[label, counted] : ports.forgotten()) {
        sums[label].counted = counted;
    }
    const auto records = ports.records();
    for (const PortRecord &record : records) {
        Sum &sum = sums[record.info.label];
        add(sum.counted.stats, record.stats);
        add(sum.counted.queues, record.queues);
        sum.open += record.open ? 1 : 0;
    }
    std::string out;
    const auto to = std::back_inserter(out);
    const auto head = [&](const char *name, const char *type, const char *help) {
        fmt::format_to(to, "# HELP elisa_{} {}\n# TYPE elisa_{} {}\n", name, help, name, type);
    };
    head("switch_info", "gauge", "The switch's backend.");
    fmt::format_to(to, "elisa_switch_info{{backend=\"{}\"}} 1\n", backend);

    const auto counter = [&](const char *name, const char *help, auto value) {
        head(name, "counter", help);
        for (const auto &[label, sum] : sums) {
            fmt::format_to(to, "elisa_{}{{label=\"{}\"}} {}\n", name, escaped(label.c_str()),
                           value(sum.counted.stats));
        }
    };
    using Stats = rvs::PortStats;
    counter("sent_frames_total", "Frames accepted from the label's ports.",
            [](const Stats &s) { return s.frames.tx_frames; });
    counter("sent_bytes_total", "Bytes of them.", [](const Stats &s) { return s.frames.tx_bytes; });
    counter("received_frames_total", "Frames delivered to the label's ports.",
            [](const Stats &s) { return s.frames.rx_frames; });
    counter("received_bytes_total", "Bytes of them.",
            [](const Stats &s) { return s.frames.rx_bytes; });
    counter("crossings_total", "Calls of the switch.",
            [](const Stats &s) { return s.frames.crossings; });
    counter("flooded_frames_total", "Frames sent to every other port.",
            [](const Stats &s) { return s.flooded; });
    counter("timed_frames_total", "Frames of the calls that were timed, one in 16.",
            [](const Stats &s) { return s.timed_frames; });
    counter("timed_cycles_total", "Ticks of the time-stamp counter that these calls took.",
            [](const Stats &s) { return s.timed_cycles; });
    head("dropped_frames_total", "counter", "Frames dropped, by reason.");
    for (const auto &[label, sum] : sums) {
        for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
            if (sum.counted.stats.frames.drops[reason] != 0) {
                fmt::format_to(to, "elisa_dropped_frames_total{{label=\"{}\",reason=\"{}\"}} {}\n",
                               escaped(label.c_str()), rvif_drop_name(reason),
                               sum.counted.stats.frames.drops[reason]);
            }
        }
    }
    // The same by tx queue, under other names: a sum over a name's labels counts nothing twice.
    const auto of_queues = [&](const char *name, const char *help, auto value) {
        head(name, "counter", help);
        for (const auto &[label, sum] : sums) {
            for (const auto &[queue, stats] : sum.counted.queues) {
                fmt::format_to(to, "elisa_{}{{label=\"{}\",queue=\"{}\"}} {}\n", name,
                               escaped(label.c_str()), queue, value(stats));
            }
        }
    };
    of_queues("queue_sent_frames_total", "Frames accepted from the label's ports, by tx queue.",
              [](const Stats &s) { return s.frames.tx_frames; });
    of_queues("queue_sent_bytes_total", "Bytes of them.",
              [](const Stats &s) { return s.frames.tx_bytes; });
    head("queue_dropped_frames_total", "counter",
         "Frames from the label's ports that were dropped, by tx queue and reason.");
    for (const auto &[label, sum] : sums) {
        for (const auto &[queue, stats] : sum.counted.queues) {
            for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
                if (stats.frames.drops[reason] != 0) {
                    fmt::format_to(to,
                                   "elisa_queue_dropped_frames_total{{label=\"{}\",queue=\"{}\","
                                   "reason=\"{}\"}} {}\n",
                                   escaped(label.c_str()), queue, rvif_drop_name(reason),
                                   stats.frames.drops[reason]);
                }
            }
        }
    }
    head("ports_open", "gauge", "Open ports of the label.");
    for (const auto &[label, sum] : sums) {
        fmt::format_to(to, "elisa_ports_open{{label=\"{}\"}} {}\n", escaped(label.c_str()),
                       sum.open);
    }
    head("port_up", "gauge",
         "1: the port carries frames; 0: held down, or not started by its driver.");
    for (const PortRecord &record : records) {
        if (record.open) {
            fmt::format_to(to, "elisa_port_up{{port=\"{}\",label=\"{}\"}} {}\n",
                           number(record.info.id), escaped(record.info.label),
                           record.info.link && record.info.started ? 1 : 0);
        }
    }
    head("capture_active", "gauge", "1: a port is being captured.");
    fmt::format_to(to, "elisa_capture_active {}\n", capture.active() ? 1 : 0);
    return out;
}

void Metrics::wait_for(std::vector<pollfd> &fds) const
{
    fds.push_back({.fd = listener_.fd(), .events = POLLIN, .revents = 0});
    for (const Request &request : requests_) {
        request.peer.wait_for(fds);
    }
}

void Metrics::work(Clock::time_point now)
{
    move_on(now);
    while (elisa::UniqueFd fd = listener_.accept()) {
        requests_.push_back(Request{control::Peer{std::move(fd)}, now + patience});
        move_on(now);
        // Who connects and says nothing keeps nobody out.
        if (requests_.size() > most_requests) {
            requests_.pop_front();
        }
    }
}

// Answers who has asked, and drops who is done or takes too long.
void Metrics::move_on(Clock::time_point now)
{
    requests_.remove_if([&](Request &request) {
        if (now >= request.deadline || !request.peer.work(longest_head)) {
            return true;
        }
        if (!request.answered && request.peer.input().find("\r\n\r\n") != std::string::npos) {
            request.peer.say(answer(request.peer.input()));
            request.answered = true;
            if (!request.peer.work(longest_head)) {
                return true;
            }
        }
        return request.peer.unsent() == 0 && (request.answered || request.peer.half_closed());
    });
}

std::string Metrics::answer(const std::string &head) const
{
    const auto respond = [](const char *status, const std::string &body) {
        return fmt::format(
            "HTTP/1.1 {}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
            status, body.size(), body);
    };
    if (head.starts_with("GET /metrics ")) {
        return respond("200 OK", prometheus_text(backend_, ports_, capture_));
    }
    return respond(head.starts_with("GET ") ? "404 Not Found" : "405 Method Not Allowed",
                   "there is /metrics here, and nothing else\n");
}

} // namespace vmnet
