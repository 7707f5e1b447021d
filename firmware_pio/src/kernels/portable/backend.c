#include "micronas/kernels.h"

const char *mn_backend(void) { return "portable/1"; }
