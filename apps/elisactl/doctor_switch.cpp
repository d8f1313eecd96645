// SPDX-License-Identifier: Apache-2.0
// doctor: a manager, its configuration and its ports.
#include "config.hpp"
#include "doctor.hpp"
#include "manager.hpp"

#include <array>
#include <map>

namespace elisactl {
namespace {

struct Advice {
    const char *reason;
    const char *text;
    const char *fix;
};

// Drops that somebody can do something about; see docs/switch.md for all.
constexpr std::array advice{
    Advice{"no_buffer", "its receiver is slower than its senders",
           "more descriptors (rxd), more mbufs, or more cores for the receiving application"},
    Advice{"not_ready", "frames came for it while its driver had not started it",
           "start the application's port"},
    Advice{"rx_too_big", "frames were longer than its buffers",
           "scattered rx in the receiving application, or the same MTU on all ports"},
    Advice{"bad_source_mac",
           "it sends with an address that is another port's, or none of a station",
           "each guest its own MAC: mac= of the device, mac of the [[guest]]"},
    Advice{"spoofed", "it sends with an address that it may not have",
           "add the address to 'macs' of its [[guest]], if that is right"},
    Advice{"mac_limit", "it shows more addresses than it may",
           "raise 'mac_limit' of its [[guest]], if that is right"},
    Advice{
        "vlan_ingress", "it sends in a VLAN that it is not in",
        "compare its VLANs (elisactl port list) with what the guest sends: 'vlan' without tags, 'trunk' with"},
    Advice{"vlan_egress", "it sends to a station that is not in the frame's VLAN",
           "the same VLAN for both, or a router between them"},
    Advice{"isolated", "it sends to another isolated port",
           "take 'isolated' from one of the two, if they are to reach each other"},
    Advice{"rate", "it sends faster than it may",
           "raise 'rate' of its [[guest]], if that is right"},
    Advice{"storm", "it has more flooded than it may",
           "raise 'storm' of its [[guest]]; if its peer is silent, elisactl mac add"},
    Advice{"link_down", "it sends although it is held down, or is a capture port",
           "elisactl port up PORT"},
    Advice{
        "no_destination", "it sends to nobody",
        "are the others' ports up, and in the same VLAN? Ports that are not promiscuous get known addresses only"},
};

std::string named(const Json &port)
{
    return "port " + port["port"].dump() + " ('" + port["label"].get<std::string>() + "')";
}

void look_at_ports(const Json &answer, Findings &findings)
{
    std::size_t open = 0;
    for (const Json &port : answer["ports"]) {
        if (port["open"] != true || port.contains("of_manager")) {
            continue;
        }
        ++open;
        if (port.value("link", std::string{}) == "down") {
            const std::string why = port.value("why", std::string{});
            const bool held = why.starts_with("held down");
            findings.push_back(
                {"link", Status::problem, named(port) + " is down: " + why,
                 held ? (why.ends_with("configuration")
                             ? "take 'down' out of its [[guest]], then elisactl reload"
                             : "elisactl port up " + port["port"].dump())
                      : "start the port in its application (testpmd: port start all)"});
        }
        for (const Advice &one : advice) {
            if (const auto &drops = port["drops"]; drops.contains(one.reason)) {
                findings.push_back({"drops", Status::note,
                                    named(port) + ": " + drops[one.reason].dump() +
                                        " frame(s) dropped as '" + one.reason + "': " + one.text,
                                    one.fix});
            }
        }
        if (const auto &settings = port["settings"]; settings["mirror"] != "") {
            bool listening = false;
            for (const Json &other : answer["ports"]) {
                listening =
                    listening || (other["open"] == true && other["label"] == settings["mirror"]);
            }
            if (!listening) {
                findings.push_back({"mirror", Status::note,
                                    named(port) + " is mirrored to '" +
                                        settings["mirror"].get<std::string>() +
                                        "', which is not attached",
                                    "start the capturing application, or use elisactl capture"});
            }
        }
    }
    findings.push_back({"ports", Status::ok, std::to_string(open) + " port(s) open"});
}

void look_at_events(const Json &answer, Findings &findings)
{
    std::map<std::string, std::string> refused; // label -> why
    std::string reload;
    std::string late;
    for (const Json &event : answer["events"]) {
        const std::string kind = event.value("event", std::string{});
        const std::string label = event.value("label", std::string{});
        if (kind == "port-refused") {
            refused[label] = event.value("reason", std::string{});
        } else if (kind == "port-opened") {
            refused.erase(label);
        } else if (kind == "reload-failed") {
            reload = event.value("message", std::string{});
        } else if (kind == "reloaded") {
            reload.clear();
        } else if (kind == "driver-late") {
            late = event.value("message", std::string{});
        }
    }
    for (const auto &[label, why] : refused) {
        const bool unknown = why.starts_with("no [[guest]]");
        findings.push_back(
            {"admitted", Status::problem, "'" + label + "' was refused: " + why,
             unknown
                 ? "add [[guest]] label = \"" + label +
                       "\" to the configuration, then elisactl reload"
                 : "raise 'ports' in its [[guest]], then elisactl reload; or end what holds them (elisactl port list)"});
    }
    if (!reload.empty()) {
        findings.push_back({"reload", Status::problem, "the last reload failed: " + reload,
                            "correct the file, then elisactl reload"});
    }
    if (!late.empty()) {
        findings.push_back(
            {"driver-late", Status::note, late, "is the process stopped (a debugger, SIGSTOP)?"});
    }
}

} // namespace

void look_at_switch(const Context &context, const std::string &config, Findings &findings)
{
    std::string file = config;
    auto manager = Manager::connect(context);
    if (!manager) {
        // A file alone may be looked at before there is a manager; in a guest there is none.
        findings.push_back(
            {"manager", config.empty() ? Status::problem : Status::note, manager.error().message,
             "vmnet --config FILE (in a guest's VM there is none: give doctor --at switch where it runs)"});
    } else {
        const auto about = manager->ask({{"cmd", "about"}});
        const auto ports = manager->ask({{"cmd", "ports"}});
        const auto events = manager->ask({{"cmd", "events"}});
        if (!about || !ports || !events) {
            findings.push_back({"manager", Status::problem,
                                (!about   ? about
                                 : !ports ? ports
                                          : events)
                                    .error()
                                    .message,
                                "elisactl and vmnet of the same version"});
            return;
        }
        findings.push_back({"manager", Status::ok,
                            "vmnet (" + (*about)["backend"].get<std::string>() + ", pid " +
                                (*about)["pid"].dump() + ") answers"});
        if (file.empty()) {
            file = (*about)["config"].get<std::string>();
        }
        look_at_ports(*ports, findings);
        look_at_events(*events, findings);
    }
    if (file.empty()) {
        return;
    }
    if (const auto loaded = vmnet::load_config(file); !loaded) {
        findings.push_back(
            {"configuration", Status::problem, loaded.error().message,
             "correct the line, then vmnet --config FILE --check, and elisactl reload"});
    } else {
        findings.push_back({"configuration", Status::ok, file + " is good"});
    }
}

} // namespace elisactl
