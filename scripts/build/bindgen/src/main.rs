//! bindgen page|worker|node WASM OUT_DIR OUT_NAME: writes the wasm without its bindings, and these as JavaScript.

use std::env::args;

use anyhow::{Result, bail};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let given: Vec<String> = args().skip(1).collect();
    let [target, wasm, out_dir, out_name] = given.as_slice() else {
        bail!("usage: bindgen page|worker|node WASM OUT_DIR OUT_NAME");
    };
    let mut bindgen = Bindgen::new();
    bindgen.input_path(wasm).out_name(out_name).typescript(false);
    match target.as_str() {
        // Fetched by every visitor: nothing that is not needed. The page says itself where the wasm is.
        "page" => {
            bindgen.web(true)?.omit_default_module_path(true).remove_name_section(true).remove_producers_section(true)
        }
        // Can be begun anew after a panic, which `src/edge/shim.js` sees to.
        "worker" => bindgen.module(true)?.reset_state_function(true).force_enable_abort_handler(true),
        "node" => bindgen.nodejs(true)?,
        _ => bail!("no such target: {target}"),
    };
    bindgen.generate(out_dir)
}
