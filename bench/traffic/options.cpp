// SPDX-License-Identifier: Apache-2.0
#include "options.hpp"

#include "frame.hpp"
#include "meet.hpp"

#include <CLI/CLI.hpp>

namespace traffic {

std::optional<Options> parse_options(int argc, char **argv, int &status)
{
    Options options;
    std::string cases;
    unsigned repeat = 1;
    CLI::App app{"The load of the benches. Without --play, commands come on standard input.",
                 "traffic EAL-ARGUMENTS --"};
    auto *const ends = app.add_option_group("ends")->require_option(1, 2);
    ends->add_option("--source", options.sources, "Ports that send")->delimiter(',');
    ends->add_option("--sink", options.sinks, "Ports that receive")->delimiter(',');
    app.add_option("--mbufs", options.ports.mbufs, "Of all ports together")
        ->check(CLI::Range(1024, 1 << 24));
    app.add_option("--descriptors", options.ports.descriptors, "Of a queue")
        ->check(CLI::Range(64, 4096));
    app.add_option("--largest", options.ports.largest, "Bytes of a frame")
        ->check(CLI::Range(std::size_t{64}, max_size));
    auto *const play = app.add_option("--play", cases, "SIZE:BURST,...: these loads, then end");
    app.add_option("--warm", options.play.warm_ms, "Milliseconds before each is measured")
        ->check(CLI::Range(1, 60'000))
        ->needs(play);
    app.add_option("--measure", options.play.ms, "Milliseconds of each")
        ->check(CLI::Range(1, 600'000))
        ->needs(play);
    app.add_option("--tail", options.play.tail_ms, "Milliseconds after each")
        ->check(CLI::Range(1, 60'000))
        ->needs(play);
    app.add_option("--repeat", repeat, "The whole list so many times")
        ->check(CLI::Range(1, 20))
        ->needs(play);
    app.add_option("--pair", options.play.pair, "Number of this pair, from 0")->needs(play);
    app.add_option("--pairs", options.play.pairs, "That play at the same time at one switch")
        ->check(CLI::Range(1u, most_pairs))
        ->needs(play);
    app.add_flag("--vmcall", options.play.vmcall, "A hypercall before each burst")->needs(play);
    try {
        app.parse(argc, argv);
        if (!cases.empty()) {
            options.play.cases = parse_cases(cases, repeat);
            if (options.sources.empty() == options.sinks.empty()) {
                throw CLI::ValidationError{"--play", "wants a --source or a --sink, not both"};
            }
            if (options.play.pair >= options.play.pairs) {
                throw CLI::ValidationError{"--pair", "is a number below that of --pairs"};
            }
        }
    } catch (const CLI::ParseError &error) {
        status = app.exit(error);
        return std::nullopt;
    }
    if (options.ports.largest > 2048) {
        options.ports.buffer = max_size;
    }
    return options;
}

} // namespace traffic
