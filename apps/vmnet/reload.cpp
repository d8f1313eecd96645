// SPDX-License-Identifier: Apache-2.0
#include "reload.hpp"

namespace vmnet {

using elisa::Errc;
using elisa::make_error;
using elisa::Result;

Result<std::vector<std::string>> Reloader::reload()
{
    const auto failed = [&](const elisa::Error &error) {
        journal_.tell(Level::error, "reload-failed",
                      "the configuration stays as it is: " + error.message);
        return error;
    };
    if (source_.file.empty()) {
        return failed(make_error(
            Errc::invalid, "there is no file to read again: vmnet was started without --config"));
    }
    auto config = load_config(source_);
    if (!config) {
        return failed(config.error());
    }
    auto later = ports_.reload(std::move(*config));
    if (!later) {
        return failed(later.error());
    }
    configure(journal_, ports_.config());
    return later;
}

void configure(Journal &journal, const Config &config)
{
    const auto level = config.log_level ? parse_level(*config.log_level) : std::nullopt;
    const auto format = config.log_format ? parse_log_format(*config.log_format) : std::nullopt;
    journal.configure(level.value_or(Level::info), format.value_or(LogFormat::text));
}

} // namespace vmnet
