// SPDX-License-Identifier: Apache-2.0
#pragma once

// How often something can be done in a second.

#include <chrono>
#include <functional>

namespace lafs::cli {

// Runs `step` at least once and for about `budget`, in five rounds; the median round's steps per
// second, so that one disturbance does not count.
double rate(std::chrono::nanoseconds budget, const std::function<void()>& step);

}  // namespace lafs::cli
