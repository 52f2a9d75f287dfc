// Precompiled: tests.
#include "asio.h"

#include <catch2/catch.hpp>
