// SPDX-License-Identifier: Apache-2.0
// `kvs manager`: makes the store and admits guests.
#include "config.hpp"
#include "connection.hpp"
#include "direct_server.hpp"
#include "program.hpp"
#include "service.hpp"
#include "statistics.hpp"

#include <cstdio>
#include <memory>

namespace kvs::cli {
namespace {

struct Options {
    std::string backend = "elisa";
    std::string export_name = KVS_EXPORT_NAME;
    std::string image = "kvs";
    std::string socket;
    std::vector<std::string> guests;
    std::uint64_t keys = 65536;
    bool exit_when_idle = false;
    std::string config;
    bool check = false;
    bool export_given = false; // on the command line, which the file does not change
    bool keys_given = false;
};

// The file's guests, then those of the command line.
elisa::Result<Guests> admitted(Options &options)
{
    std::vector<GuestSpec> specs;
    if (!options.config.empty()) {
        auto config = load_config(options.config);
        if (!config) {
            return config.error();
        }
        specs = std::move(config->guests);
        if (config->export_name && !options.export_given) {
            options.export_name = *config->export_name;
        }
        if (config->keys && !options.keys_given) {
            options.keys = *config->keys;
        }
    }
    for (const std::string &text : options.guests) {
        auto spec = parse_guest(text);
        if (!spec) {
            return spec.error();
        }
        specs.push_back(std::move(*spec));
    }
    return Guests::create(specs, options.keys);
}

void report(const Store &store, const Guests &guests, const Options &options)
{
    apps::print_result({{"program", "kvs manager"},
                        {"backend", options.backend},
                        {"ports", to_json(store, guests)}});
}

int direct(const Guests &guests, const Options &options)
{
    const auto &stop = apps::stop_requested();
    if (options.socket.empty()) {
        return apps::fail(
            "kvs", elisa::make_error(elisa::Errc::invalid, "--backend direct needs --socket PATH"));
    }
    const auto server = DirectServer::create(options.socket, guests);
    if (!server) {
        return apps::fail("kvs", server.error());
    }
    std::printf("kvs: the store is ready at %s, %u port(s)\n", options.socket.c_str(),
                guests.layout().ports);
    std::fflush(stdout);
    (*server)->run(stop);
    report((*server)->store(), guests, options);
    return 0;
}

int manage(Options options)
{
    const auto guests = admitted(options);
    if (!guests) {
        return apps::fail("kvs", guests.error());
    }
    if (options.check) {
        std::printf("kvs: the configuration is good: %u port(s)\n", guests->layout().ports);
        return 0;
    }
    if (options.backend == "direct") {
        return direct(*guests, options);
    }
    const auto &stop = apps::stop_requested();
    const auto image = elisa::Image::load(apps::find_image(options.image));
    if (!image) {
        return apps::fail("kvs", image.error());
    }
    auto served =
        elisa::Export::open(options.export_name, *image, Store::footprint(guests->layout()));
    if (!served) {
        return apps::fail("kvs", served.error());
    }
    const auto heap = served->heap();
    Store *const store = served->taken_over()
                             ? Store::open(heap.data(), heap.size())
                             : Store::create(heap.data(), heap.size(), guests->layout());
    if (store == nullptr || !store->is_of(guests->layout())) {
        return apps::fail(
            "kvs", elisa::make_error(elisa::Errc::invalid,
                                     "the export was made with other --guest or --keys than these: "
                                     "give the same, or end it (elisactl export revoke)"));
    }
    if (!served->taken_over()) {
        if (const auto published = served->publish(); !published) {
            return apps::fail("kvs", published.error());
        }
    }
    std::printf("kvs: the store is ready as export '%s', %u port(s)\n", options.export_name.c_str(),
                guests->layout().ports);
    std::fflush(stdout);
    PortService service{*store, *guests};
    service.tick();
    const auto done = apps::serve(
        *served, service, stop,
        {.exit_when_idle = options.exit_when_idle, .tick = std::chrono::milliseconds{100}});
    report(*store, *guests, options);
    return done ? 0 : apps::fail("kvs", done.error());
}

} // namespace

void add_manager(CLI::App &app, int &status)
{
    const auto options = std::make_shared<Options>();
    auto *const command =
        app.add_subcommand("manager", "Make the store and admit guests (in the manager's VM)");
    command->add_option(
        "--guest", options->guests,
        "LABEL[,namespace=NAME][,memory=MIB][,sessions=N]: may use the store; may be repeated. "
        "Guests of one namespace share its keys (default: one of its own); memory=0: may only read");
    command->add_option("--config", options->config,
                        "TOML file with [store] and a [[guest]] for each that may use it");
    command->add_flag("--check", options->check, "Only look whether the configuration is good");
    auto *const keys =
        command->add_option("--keys", options->keys, "Keys that each namespace's index is made for")
            ->check(CLI::Range(std::uint64_t{least_keys}, std::uint64_t{most_keys}))
            ->capture_default_str();
    auto *const name = command->add_option("--export", options->export_name, "Name of the export")
                           ->capture_default_str();
    command->add_option("--image", options->image, "The store: name or path")
        ->capture_default_str();
    command->add_flag("--exit-when-idle", options->exit_when_idle,
                      "End when the last guest has gone");
    command
        ->add_option("--backend", options->backend,
                     "elisa, or direct: processes of this machine, no isolation")
        ->check(CLI::IsMember({"elisa", "direct"}))
        ->capture_default_str();
    command->add_option("--socket", options->socket, "With direct: where to listen");
    command->callback([options, keys, name, &status] {
        options->keys_given = keys->count() != 0;
        options->export_given = name->count() != 0;
        status = manage(*options);
    });
}

} // namespace kvs::cli
