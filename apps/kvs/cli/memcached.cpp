// SPDX-License-Identifier: Apache-2.0
// `kvs memcached`: the store for programs that speak memcached's text protocol.
#include "connection.hpp"
#include "program.hpp"
#include "server.hpp"

#include <cstdio>
#include <memory>

namespace kvs::cli {
namespace {

struct Options {
    Connection connection;
    std::vector<std::string> listen{"127.0.0.1:11211"};
};

int serve(const Options &options)
{
    const auto &stop = apps::stop_requested();
    auto client = options.connection.open();
    if (!client) {
        return apps::fail("kvs", client.error());
    }
    memcached::Server server{*client};
    for (const std::string &where : options.listen) {
        const auto listens = server.listen(where);
        if (!listens) {
            return apps::fail("kvs", listens.error());
        }
        std::printf("kvs: memcached's text protocol at %s\n", listens->c_str());
    }
    std::fflush(stdout);
    server.run(stop);
    return 0;
}

} // namespace

void add_memcached(CLI::App &app, int &status)
{
    const auto options = std::make_shared<Options>();
    auto *const command = app.add_subcommand(
        "memcached", "Serve programs that speak memcached's text protocol (in a guest)");
    options->connection.add_to(*command);
    command
        ->add_option("--listen", options->listen,
                     "ADDRESS:PORT (port 0: any), or the path of a Unix socket; may be repeated. "
                     "Who can connect can read and write the namespace")
        ->capture_default_str();
    command->callback([options, &status] { status = serve(*options); });
}

} // namespace kvs::cli
