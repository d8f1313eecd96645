// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"

#include <cstdio>
#include <exception>

int main(int argc, char **argv)
try {
    CLI::App app{"A key-value store that guest VMs share, in a sub EPT context"};
    app.require_subcommand(1);
    int status = 0;
    kvs::cli::add_manager(app, status);
    kvs::cli::add_access(app, status);
    kvs::cli::add_exercise(app, status);
    kvs::cli::add_load(app, status);
    kvs::cli::add_memcached(app, status);
    CLI11_PARSE(app, argc, argv);
    return status;
} catch (const std::exception &error) {
    std::fprintf(stderr, "kvs: %s\n", error.what());
    return 1;
}
