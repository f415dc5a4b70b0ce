//! `cargo dev bench`.

use crate::{dev, run};

#[test]
fn a_program_that_does_not_exist_is_named() {
    let program = "/no/such/bootstrap";
    for command in [&["bench"][..], &["bench", "counts"], &["bench", "growth"]] {
        let mut arguments = [command, &["--function", program]].concat();
        if command != ["bench", "growth"] {
            arguments.extend(["--hello", program]);
        }
        let (code, output, errors) = run(&mut dev(&arguments));
        assert_eq!((code, output.as_str()), (1, ""), "{command:?}: {errors}");
        assert!(errors.contains(&format!("there is no program {program}")), "{errors}");
    }
}
