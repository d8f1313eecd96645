// SPDX-License-Identifier: Apache-2.0
#include "probes.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

int main(int argc, char **argv)
try {
    CLI::App app{"What a guest must and must not be able to do"};
    app.require_subcommand(1);

    std::string export_name = "nop";
    std::uint64_t gate_index = 0;
    probes::AttachExpectation expected;
    probes::BarToggle toggle;
    probes::AttachLoop loop;
    probes::SweepOptions swept;

    auto *unattached = app.add_subcommand("vmfunc-unattached");
    auto *attached = app.add_subcommand("vmfunc-attached");
    attached->add_option("EXPORT", export_name);
    auto *attach = app.add_subcommand("attach");
    attach->add_option("EXPORT", expected.export_name)->required();
    attach->add_option("--expect", expected.error)->required();
    attach->add_option("--timeout", expected.timeout);
    attach->add_flag("!--no-wait", expected.wait);
    auto *unprivileged = app.add_subcommand("unprivileged");
    unprivileged->add_option("EXPORT", export_name);
    auto *child = app.add_subcommand("unprivileged-child");
    child->add_option("GATE", gate_index)->required();
    auto *bar = app.add_subcommand("bar-toggle");
    bar->add_option("EXPORT", toggle.export_name);
    bar->add_option("--rounds", toggle.rounds);
    bar->add_option("--crossings", toggle.crossings);
    auto *attach_loop = app.add_subcommand("attach-loop");
    attach_loop->add_option("EXPORT", loop.export_name);
    attach_loop->add_option("--rounds", loop.rounds);
    auto *exporter = app.add_subcommand("exporter");
    auto *dead = app.add_subcommand("dead-export");
    dead->add_option("EXPORT", export_name);
    auto *leaks = app.add_subcommand("leaks");
    leaks->add_option("EXPORT", export_name);
    auto *sweep = app.add_subcommand("sweep");
    sweep->add_option("EVENT", swept.events, "None: only the way is recorded");
    sweep->add_option("--export", swept.export_name);
    sweep->add_option("--stride", swept.stride);
    auto *not_memory = app.add_subcommand("not-memory");
    not_memory->add_option("EXPORT", export_name);
    auto *other_gate = app.add_subcommand("other-gate");
    other_gate->add_option("EXPORT", export_name);
    double seconds = 8;
    auto *survivor = app.add_subcommand("survivor");
    survivor->add_option("EXPORT", export_name);
    survivor->add_option("--seconds", seconds);
    auto *rested_region = app.add_subcommand("rested-region");
    rested_region->add_option("EXPORT", export_name);
    auto *removed_region = app.add_subcommand("removed-region");
    removed_region->add_option("EXPORT", export_name);
    auto *quotas = app.add_subcommand("quotas");
    quotas->add_option("EXPORT", export_name);
    std::uint64_t wanted = 3;
    auto *paused = app.add_subcommand("paused");
    paused->add_option("EXPORT", export_name);
    paused->add_option("--seconds", seconds);
    auto *preempted = app.add_subcommand("preempted");
    preempted->add_option("EXPORT", export_name);
    auto *nmis = app.add_subcommand("nmis");
    nmis->add_option("EXPORT", export_name);
    nmis->add_option("--wanted", wanted);
    CLI11_PARSE(app, argc, argv);

    if (*unattached) {
        return probes::vmfunc_unattached();
    }
    if (*attached) {
        return probes::vmfunc_attached(export_name);
    }
    if (*attach) {
        return probes::attach(expected);
    }
    if (*unprivileged) {
        return probes::unprivileged(export_name);
    }
    if (*child) {
        return probes::unprivileged_child(gate_index);
    }
    if (*sweep) {
        return probes::sweep(swept);
    }
    if (*leaks) {
        return probes::leaks(export_name);
    }
    if (*not_memory) {
        return probes::not_memory(export_name);
    }
    if (*other_gate) {
        return probes::other_gate(export_name);
    }
    if (*survivor) {
        return probes::survivor(export_name, seconds);
    }
    if (*rested_region) {
        return probes::rested_region(export_name);
    }
    if (*removed_region) {
        return probes::removed_region(export_name);
    }
    if (*quotas) {
        return probes::quotas(export_name);
    }
    if (*paused) {
        return probes::paused(export_name, seconds);
    }
    if (*preempted) {
        return probes::preempted(export_name);
    }
    if (*nmis) {
        return probes::nmis(export_name, wanted);
    }
    if (*exporter) {
        return probes::exporter();
    }
    if (*dead) {
        return probes::dead_export(export_name);
    }
    return *bar ? probes::bar_toggle(toggle) : probes::attach_loop(loop);
} catch (const std::exception &error) {
    std::fprintf(stderr, "lab-probe: %s\n", error.what());
    return 1;
}
