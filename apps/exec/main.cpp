// SPDX-License-Identifier: Apache-2.0
// Runs any image: one side exports it, the other calls it from the shell.
#include "elisa/guest.hpp"
#include "manual.hpp"
#include "program.hpp"
#include "serve.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>

namespace {

struct ManagerOptions {
    std::string image;
    std::string export_name;
    std::size_t heap = std::size_t{64} * 1024;
    std::vector<std::string> admit;
    bool exit_when_idle = false;
};

// Everybody whose label is listed, or everybody. The image's arg counts attachments from 0.
class Anybody final : public apps::Service {
  public:
    explicit Anybody(const std::vector<std::string> &labels) : labels_{labels} {}

    elisa::Result<std::uint64_t> attach(elisa::AttachmentId,
                                        const elisa::AttachEvent &event) override
    {
        if (!labels_.empty() && std::ranges::find(labels_, event.label) == labels_.end()) {
            return elisa::make_error(elisa::Errc::refused, "its label is not on the list");
        }
        std::printf("'%s' attached\n", event.label.c_str());
        std::fflush(stdout);
        return next_++;
    }
    void detach(elisa::AttachmentId) override {}
    elisa::Result<void> region_add(elisa::AttachmentId, const elisa::RegionAddEvent &) override
    {
        return elisa::make_error(elisa::Errc::refused,
                                 "exec does not tell images about regions; write a manager for it");
    }
    void region_del(elisa::AttachmentId, const elisa::RegionDelEvent &) override {}

  private:
    const std::vector<std::string> &labels_;
    std::uint64_t next_ = 0;
};

int manage(const ManagerOptions &options)
{
    const auto &stop = apps::stop_requested();
    const auto path = apps::find_image(options.image);
    const auto image = elisa::Image::load(path);
    if (!image) {
        return apps::fail("exec", image.error());
    }
    const std::string name =
        options.export_name.empty() ? path.stem().string() : options.export_name;
    auto served = elisa::Export::open(name, *image, options.heap);
    if (!served) {
        return apps::fail("exec", served.error());
    }
    if (!served->taken_over()) {
        if (const auto published = served->publish(); !published) {
            return apps::fail("exec", published.error());
        }
    }
    std::printf("exec: %s is published as '%s'\n", path.c_str(), name.c_str());
    std::fflush(stdout);
    Anybody service{options.admit};
    const auto done =
        apps::serve(*served, service, stop, {.exit_when_idle = options.exit_when_idle});
    return done ? 0 : apps::fail("exec", done.error());
}

struct CallOptions {
    std::string export_name;
    std::vector<std::string> arguments;
    double timeout = 30;
};

// Decimal, or hexadecimal with 0x; negative numbers wrap.
bool parse_number(std::string_view text, std::uint64_t &value)
{
    const bool negative = text.starts_with('-');
    text.remove_prefix(negative ? 1 : 0);
    const bool hexadecimal = text.starts_with("0x");
    text.remove_prefix(hexadecimal ? 2 : 0);
    const char *const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
    value = negative ? 0 - value : value;
    return parsed.ec == std::errc{} && parsed.ptr == end;
}

int call(const CallOptions &options)
{
    std::uint64_t a[4] = {};
    for (std::size_t i = 0; i < options.arguments.size(); ++i) {
        if (!parse_number(options.arguments[i], a[i])) {
            std::fprintf(stderr, "exec: '%s' is no number\n", options.arguments[i].c_str());
            return 2;
        }
    }
    const auto attachment = elisa::Attachment::attach(
        options.export_name,
        {.timeout = std::chrono::milliseconds{static_cast<long>(options.timeout * 1e3)}});
    if (!attachment) {
        return apps::fail("exec", attachment.error());
    }
    const elisa::CallResult result = attachment->call(a[0], a[1], a[2], a[3]);
    if (!result.ok()) {
        return apps::fail("exec", elisa::abi_error(result.status, "the call"));
    }
    std::printf("%lld\n", static_cast<long long>(result.value));
    return 0;
}

apps::Manual manual()
{
    return {
        .section = "1",
        .synopsis = "manager IMAGE [OPTIONS]\n.br\n.B elisa\\-exec\ncall EXPORT [ARGUMENTS]",
        .description =
            "Exports an image made with libelisa's elisa_add_image() without a manager of its own, and calls what is\n"
            "exported from a shell, printing what a call returned: to try an image before anything is written around it.\n"
            "An image may want more of its manager than that: arguments by label, or guests' memory.",
        .more = ".SH SEE ALSO\n.BR vmnet (1),\n.BR elisactl (8)"};
}

} // namespace

int main(int argc, char **argv)
try {
    CLI::App app{"Runs an image in a sub EPT context", "elisa-exec"};
    app.require_subcommand(1);

    ManagerOptions managing;
    auto *manager = app.add_subcommand("manager", "Export an image (in the manager's VM)");
    manager->add_option("IMAGE", managing.image, "Name or path")->required();
    manager->add_option("--export", managing.export_name,
                        "Name of the export (default: the image's)");
    manager->add_option("--heap", managing.heap, "Bytes of memory behind the image")
        ->capture_default_str();
    manager->add_option("--admit", managing.admit,
                        "Label to admit; may be repeated (default: all)");
    manager->add_flag("--exit-when-idle", managing.exit_when_idle,
                      "End when the last guest has gone");

    CallOptions calling;
    auto *caller = app.add_subcommand("call", "Call it once and print the result (in a guest VM)");
    caller->add_option("EXPORT", calling.export_name, "Name of the export")->required();
    caller->add_option("ARGUMENTS", calling.arguments, "a0 to a3")->expected(0, 4);
    caller->add_option("--timeout", calling.timeout, "Seconds to wait for the export")
        ->capture_default_str();

    apps::add_manual(app, manual());
    CLI11_PARSE(app, argc, argv);
    return *manager ? manage(managing) : call(calling);
} catch (const std::exception &error) {
    std::fprintf(stderr, "exec: %s\n", error.what());
    return 1;
}
