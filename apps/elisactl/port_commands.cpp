// SPDX-License-Identifier: Apache-2.0
// port, mac, events, reload: what is one question to the manager.
#include "context.hpp"
#include "manager.hpp"

#include <CLI/CLI.hpp>
#include <ctime>
#include <fmt/format.h>
#include <memory>

namespace elisactl {
namespace {

std::string vlan_text(const Json &settings)
{
    if (settings.contains("trunk")) {
        std::string text = "trunk ";
        for (const Json &vlan : settings["trunk"]) {
            text += (text.back() == ' ' ? "" : ",") + vlan.dump();
        }
        return settings["native"] != 0 ? text + ", native " + settings["native"].dump() : text;
    }
    return settings["vlan"] != 0 ? settings["vlan"].dump() : "-";
}

std::string policy_text(const Json &settings)
{
    std::string text;
    const auto say = [&](const std::string &what) { text += (text.empty() ? "" : ", ") + what; };
    if (settings["isolated"] == true) {
        say("isolated");
    }
    if (settings["capture"] == true) {
        say("capture");
    }
    if (settings["rate"] != 0) {
        say(settings["rate"].dump() + " Mbit/s");
    }
    if (settings["storm"] != 0) {
        say("storm " + settings["storm"].dump() + "/s");
    }
    if (settings["mac_limit"] != 0) {
        say(settings["mac_limit"].dump() + " MACs");
    }
    if (!settings["macs"].empty()) {
        say("own MACs only");
    }
    if (settings["mirror"] != "") {
        say("mirrored to " + settings["mirror"].get<std::string>());
    }
    return text.empty() ? "-" : text;
}

int port_list(const Context &context)
{
    const auto answer = ask(context, {{"cmd", "ports"}});
    if (!answer) {
        return context.fail(answer.error());
    }
    Json open = Json::array();
    for (const Json &port : (*answer)["ports"]) {
        if (port["open"] == true) {
            open.push_back(port);
        }
    }
    if (context.json) {
        Context::print(open);
        return 0;
    }
    fmt::print("{:>4} {:20} {:17} {:5} {:7} {:16} {}\n", "PORT", "LABEL", "MAC", "LINK", "QUEUES",
               "VLAN", "POLICY");
    for (const Json &port : open) {
        const bool own = port.contains("of_manager");
        fmt::print("{:>4} {:20} {:17} {:5} {:7} {:16} {}\n", port["port"].get<unsigned>(),
                   port["label"].get<std::string>(), port["mac"].get<std::string>(),
                   port.value("link", std::string{"?"}),
                   fmt::format("{}/{}", port["rx_queues"].get<unsigned>(),
                               port["tx_queues"].get<unsigned>()),
                   own ? "-" : vlan_text(port["settings"]),
                   own ? "the manager's own" : policy_text(port["settings"]));
        if (port.contains("why")) {
            fmt::print("     down: {}\n", port["why"].get<std::string>());
        }
    }
    return 0;
}

int tell(const Context &context, const Json &request)
{
    const auto answer = ask(context, request);
    return answer ? context.done() : context.fail(answer.error());
}

// "vlan=10" as a line of TOML: words that are no number, truth or list get their quotes.
std::string assignment(const std::string &key, const std::string &value)
{
    const bool bare = value == "true" || value == "false" || value.empty() ||
                      value.find_first_not_of("0123456789_") == std::string::npos ||
                      value.front() == '[' || value.front() == '"' || value.front() == '\'';
    return key + " = " + (bare ? value : "\"" + value + "\"") + "\n";
}

int port_set(const Context &context, const std::string &port,
             const std::vector<std::string> &settings)
{
    std::string set;
    std::vector<std::string> defaults;
    for (const std::string &one : settings) {
        const std::size_t equals = one.find('=');
        if (equals == std::string::npos) {
            return context.fail(
                "'" + one + "' is no setting: KEY=VALUE, such as vlan=10, rate=1000 or vlan=none");
        }
        const std::string key = one.substr(0, equals);
        const std::string value = one.substr(equals + 1);
        if (value == "none") {
            defaults.push_back(key);
        } else {
            set += assignment(key, value);
        }
    }
    return tell(
        context,
        {{"cmd", "port-set"}, {"port", port_json(port)}, {"set", set}, {"defaults", defaults}});
}

int mac_list(const Context &context)
{
    const auto answer = ask(context, {{"cmd", "macs"}});
    if (!answer) {
        return context.fail(answer.error());
    }
    if (context.json) {
        Context::print((*answer)["macs"]);
        return 0;
    }
    fmt::print("{:17} {:>4} {:>4} {}\n", "MAC", "VLAN", "PORT", "AGE");
    for (const Json &mac : (*answer)["macs"]) {
        fmt::print("{:17} {:>4} {:>4} {}\n", mac["mac"].get<std::string>(),
                   mac["vlan"].get<unsigned>(), mac["port"].get<unsigned>(),
                   mac["static"] == true ? "static"
                                         : fmt::format("{} s", mac["age"].get<unsigned>()));
    }
    return 0;
}

void print_event(const Context &context, const Json &event)
{
    if (context.json) {
        Context::print(event);
        return;
    }
    const auto ms = event.value("time_ms", std::int64_t{0});
    const std::time_t seconds = ms / 1000;
    std::tm local{};
    ::localtime_r(&seconds, &local);
    char time[32];
    std::strftime(time, sizeof(time), "%F %T", &local);
    fmt::print("{}.{:03} {:7} {:16} {}\n", time, ms % 1000, event.value("level", std::string{}),
               event.value("event", std::string{}), event.value("message", std::string{}));
    std::fflush(stdout);
}

int events(const Context &context, bool follow)
{
    auto manager = Manager::connect(context);
    if (!manager) {
        return context.fail(manager.error());
    }
    const auto answer = manager->ask({{"cmd", "events"}, {"follow", follow}});
    if (!answer) {
        return context.fail(answer.error());
    }
    for (const Json &event : (*answer)["events"]) {
        print_event(context, event);
    }
    std::string line;
    while (follow) {
        const auto there = manager->read_line(line);
        if (!there) {
            return context.fail(there.error());
        }
        if (!*there) {
            return context.fail("the manager has gone");
        }
        print_event(context, Json::parse(line, nullptr, false));
    }
    return 0;
}

int reload(const Context &context)
{
    const auto answer = ask(context, {{"cmd", "reload"}});
    if (!answer) {
        return context.fail(answer.error());
    }
    if (context.json) {
        Context::print({{"ok", true}, {"notes", (*answer)["notes"]}});
        return 0;
    }
    for (const Json &note : (*answer)["notes"]) {
        fmt::print("{}\n", note.get<std::string>());
    }
    return 0;
}

} // namespace

void add_port(CLI::App &app, Context &context)
{
    auto *const port = app.add_subcommand("port", "The switch's ports");
    port->require_subcommand(1);
    const auto which = std::make_shared<std::string>();
    const auto settings = std::make_shared<std::vector<std::string>>();
    constexpr const char *of = "Its number, or its label";

    port->add_subcommand("list", "Open ports, what they may do, and why they are down")
        ->callback([&context] { context.action = [&context] { return port_list(context); }; });
    auto *const set = port->add_subcommand(
        "set", "Other settings for a port, until it is closed or the configuration is read again");
    set->add_option("PORT", *which, of)->required();
    set->add_option(
           "KEY=VALUE", *settings,
           "vlan, trunk, native, isolated, macs, mac_limit, rate, burst, storm, mirror as in the "
           "configuration; none: as without a word")
        ->required();
    set->callback([&context, which, settings] {
        context.action = [&context, which, settings] {
            return port_set(context, *which, *settings);
        };
    });
    for (const bool up : {true, false}) {
        auto *const link = port->add_subcommand(up ? "up" : "down",
                                                up ? "Let it carry frames again"
                                                   : "Hold it down: its driver sees the link go");
        link->add_option("PORT", *which, of)->required();
        link->callback([&context, which, up] {
            context.action = [&context, which, up] {
                return tell(context,
                            {{"cmd", "port-link"}, {"port", port_json(*which)}, {"up", up}});
            };
        });
    }
}

void add_mac(CLI::App &app, Context &context)
{
    auto *const mac = app.add_subcommand("mac", "The switch's table of addresses");
    mac->require_subcommand(1);
    const auto which = std::make_shared<std::string>();
    const auto address = std::make_shared<std::string>();
    const auto vlan = std::make_shared<unsigned>(0);

    mac->add_subcommand("list", "Learned and static addresses")->callback([&context] {
        context.action = [&context] { return mac_list(context); };
    });
    auto *const add =
        mac->add_subcommand("add", "A static address: it belongs to one port until that is closed");
    add->add_option("MAC", *address, "Such as 02:00:00:00:00:01")->required();
    add->add_option("PORT", *which, "Number or label")->required();
    add->add_option("--vlan", *vlan, "Unless the port knows no VLANs");
    add->callback([&context, which, address, vlan] {
        context.action = [&context, which, address, vlan] {
            return tell(context, {{"cmd", "mac-add"},
                                  {"mac", *address},
                                  {"port", port_json(*which)},
                                  {"vlan", *vlan}});
        };
    });
    auto *const remove = mac->add_subcommand("remove", "Forget an address");
    remove->add_option("MAC", *address)->required();
    remove->add_option("--vlan", *vlan);
    remove->callback([&context, address, vlan] {
        context.action = [&context, address, vlan] {
            return tell(context, {{"cmd", "mac-remove"}, {"mac", *address}, {"vlan", *vlan}});
        };
    });
    auto *const flush =
        mac->add_subcommand("flush", "Forget all learned addresses, or those of a port");
    flush->add_option("PORT", *which, "Number or label");
    flush->callback([&context, which] {
        context.action = [&context, which] {
            Json request{{"cmd", "mac-flush"}};
            if (!which->empty()) {
                request["port"] = port_json(*which);
            }
            return tell(context, request);
        };
    });
}

void add_events(CLI::App &app, Context &context)
{
    auto *const command = app.add_subcommand("events", "What has happened at the switch");
    const auto follow = std::make_shared<bool>(false);
    command->add_flag("--follow,-f", *follow, "Go on with what happens");
    command->callback([&context, follow] {
        context.action = [&context, follow] { return events(context, *follow); };
    });
}

void add_reload(CLI::App &app, Context &context)
{
    app.add_subcommand("reload", "Let the manager read its configuration again; no frame is lost")
        ->callback([&context] { context.action = [&context] { return reload(context); }; });
}

} // namespace elisactl
