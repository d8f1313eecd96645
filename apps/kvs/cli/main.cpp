// SPDX-License-Identifier: Apache-2.0
#include "connection.hpp"
#include "manual.hpp"

#include <cstdio>
#include <exception>

namespace {

apps::Manual manual()
{
    return {
        .section = "1",
        .synopsis = "COMMAND [ARGUMENTS]",
        .description =
            "Guests GET, PUT, DELETE and compare-and-set values of up to 1 MiB in memory that they share; each enters\n"
            "the store's code and memory by itself, without a VM exit.\n.B kvs manager\nruns in the manager's VM, and\n"
            "decides who is admitted, with which namespace and quota. The other commands run in guests. With\n"
            ".B kvs manager \\-\\-backend direct \\-\\-socket PATH\nand\n.B \\-\\-socket PATH\nfor the others, "
            "all of them are processes of this machine, for tests: no isolation.",
        .more = ".SH SEE ALSO\n.BR vmnet (1),\n.BR elisactl (8)"};
}

} // namespace

int main(int argc, char **argv)
try {
    CLI::App app{"A key-value store that guest VMs share, in a sub EPT context", "kvs"};
    app.require_subcommand(1);
    int status = 0;
    kvs::cli::add_manager(app, status);
    kvs::cli::add_access(app, status);
    kvs::cli::add_exercise(app, status);
    kvs::cli::add_load(app, status);
    kvs::cli::add_memcached(app, status);
    apps::add_manual(app, manual());
    CLI11_PARSE(app, argc, argv);
    return status;
} catch (const std::exception &error) {
    std::fprintf(stderr, "kvs: %s\n", error.what());
    return 1;
}
