/* What is told: a line on standard error, and the end where there is no going on. */
#pragma once
#include <stdlib.h>

__attribute__((format(printf, 1, 2))) void warn(const char *format, ...);

#define die(...) (warn(__VA_ARGS__), exit(1))
