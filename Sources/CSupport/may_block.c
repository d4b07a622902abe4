#include "csupport.h"

static _Thread_local int is_forbidden;

void paceline_forbid_blocking(int yes) { is_forbidden = yes; }
int paceline_blocking_is_forbidden(void) { return is_forbidden; }
