#include <Python.h>

static struct PyMethodDef functions[] = {{NULL, NULL, 0, NULL}};

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "made_by_setuptools", NULL, -1, functions};

PyMODINIT_FUNC PyInit_made_by_setuptools(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (module != NULL)
        PyModule_AddStringConstant(module, "MAKER", "setuptools");
    return module;
}
#else
PyMODINIT_FUNC initmade_by_setuptools(void)
{
    PyObject *module = Py_InitModule("made_by_setuptools", functions);
    if (module != NULL)
        PyModule_AddStringConstant(module, "MAKER", "setuptools");
}
#endif
